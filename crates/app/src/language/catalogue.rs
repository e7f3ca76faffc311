//! Every text people read.
//!
//! Plain, short, and kind at two in the morning. An error says what happened, what was kept, and what to do.

use super::Text;

macro_rules! texts {
    ($($name:ident: $en:literal, $fr:literal;)*) => {
        $(
            #[doc = $en]
            pub const $name: Text = Text { en: $en, fr: $fr };
        )*

        /// Every text with its name.
        pub const CATALOGUE: &[(&str, Text)] = &[$((stringify!($name), $name),)*];
    };
}

texts! {
    // Commands and options. At most 100 characters each.
    COMMAND_SETUP: "Set up Guildhall: language, time zone, modules", "Configurer Guildhall : langue, fuseau horaire, modules";
    COMMAND_SYNC: "Read channels, roles and permissions again from Discord", "Relire les salons, rôles et permissions depuis Discord";
    COMMAND_STATS: "Exact activity numbers", "Des chiffres d'activité exacts";
    COMMAND_STATS_SERVER: "The whole server: messages, voice, members, top five", "Tout le serveur : messages, vocal, membres, top 5";
    COMMAND_STATS_MEMBER: "One member: yourself unless you choose somebody", "Un membre : vous-même, sauf autre choix";
    COMMAND_STATS_CHANNEL: "One channel: this one unless you choose another", "Un salon : celui-ci, sauf autre choix";
    OPTION_PERIOD: "How far back", "Sur quelle durée";
    OPTION_MEMBER: "Whose numbers; others' need Manage Server or View Server Insights", "Les chiffres de qui ; ceux d'autrui exigent Gérer le serveur ou Voir les analyses";
    OPTION_CHANNEL: "Which channel", "Quel salon";
    OPTION_SHARE: "Show the answer to everyone here (default: yes)", "Montrer la réponse à tout le monde ici (par défaut : oui)";
    OPTION_SHARE_CHANNEL: "Show the answer to everyone here (default: only in the channel itself)", "Montrer la réponse à tout le monde ici (par défaut : seulement dans le salon même)";
    OPTION_SHARE_MEMBER: "Show your own numbers to everyone here (default: no)", "Montrer vos propres chiffres à tout le monde ici (par défaut : non)";
    PERIOD_DAY: "last 24 hours", "dernières 24 heures";
    PERIOD_WEEK: "last 7 days", "7 derniers jours";
    PERIOD_MONTH: "last 30 days", "30 derniers jours";
    PERIOD_QUARTER: "last 90 days", "90 derniers jours";
    PERIOD_YEAR: "last 365 days", "365 derniers jours";

    // Whatever can go wrong.
    GUILD_ONLY: "I only work inside servers. Use this command in one I am a member of.", "Je ne fonctionne que dans les serveurs. Utilisez cette commande dans un serveur dont je suis membre.";
    UNKNOWN_COMMAND: "I do not know this command any more; Discord's menu can lag behind an update. Nothing was changed. Reload Discord and try again.", "Je ne connais plus cette commande ; le menu de Discord peut retarder après une mise à jour. Rien n'a été modifié. Rechargez Discord et réessayez.";
    UNKNOWN_COMPONENT: "This button is from an older version of me. Nothing was changed. Start the command again and you will get current ones.", "Ce bouton vient d'une ancienne version de moi. Rien n'a été modifié. Relancez la commande pour en obtenir de nouveaux.";
    NEEDS_MANAGE_GUILD: "This needs the permission **Manage Server**, which you do not have here. Nothing was changed. Ask an administrator of this server.", "Il faut pour cela la permission **Gérer le serveur**, que vous n'avez pas ici. Rien n'a été modifié. Demandez à un administrateur de ce serveur.";
    ALREADY_HANDLED: "This was already handled; it took effect once, and nothing was done twice.", "C'est déjà fait ; l'effet n'a eu lieu qu'une fois, rien n'a été fait en double.";
    TOO_LONG: "This took too long, so I stopped. Your settings are either as before or as you saved them, never half; `/setup` shows them. Try again in a minute.", "Cela a pris trop de temps, je me suis arrêté. Vos réglages sont soit ceux d'avant, soit ceux que vous avez enregistrés, jamais à moitié ; `/configurer` les montre. Réessayez dans une minute.";
    TOO_LONG_READING: "This took too long, so I stopped. Nothing was changed. Try again in a minute.", "Cela a pris trop de temps, je me suis arrêté. Rien n'a été modifié. Réessayez dans une minute.";
    FAILED: "Something broke on my side. Nothing was changed. Try again in a minute; if it stays like this, tell whoever runs me.", "Quelque chose a cassé de mon côté. Rien n'a été modifié. Réessayez dans une minute ; si cela persiste, prévenez la personne qui m'héberge.";
    FAILED_STORE: "I cannot reach my database right now. Nothing was changed and nothing is lost: counting goes on and catches up. Try again in a minute.", "Ma base de données est injoignable pour l'instant. Rien n'a été modifié et rien n'est perdu : le comptage continue et rattrapera. Réessayez dans une minute.";
    FAILED_QUEUE: "I could not queue this work, so it will not run. Nothing was changed. Try again in a minute.", "Je n'ai pas pu mettre ce travail en file, il n'aura donc pas lieu. Rien n'a été modifié. Réessayez dans une minute.";

    // Setup.
    SETUP_WELCOME: "Hello! Four short steps and this server is set up. Nothing is stored until you press **Save** at the end.", "Bonjour ! Quatre petites étapes et ce serveur est configuré. Rien n'est enregistré avant **Enregistrer**, à la fin.";
    SETUP_AGAIN: "This server is set up already; the current choices are marked. Nothing changes until you press **Save** at the end.", "Ce serveur est déjà configuré ; les choix actuels sont marqués. Rien ne change avant **Enregistrer**, à la fin.";
    SETUP_LANGUAGE_TITLE: "Language", "Langue";
    SETUP_LANGUAGE: "Which language should I use in answers that everyone sees? What only one person sees is in that person's own language.", "Dans quelle langue répondre quand tout le monde voit la réponse ? Ce qu'une seule personne voit est dans sa propre langue.";
    SETUP_ZONE_TITLE: "Time zone", "Fuseau horaire";
    SETUP_ZONE: "Where do this server's days begin? Now: **{label}** (`{zone}`). A change counts from now on; past days stay as they were counted.", "Où commencent les journées de ce serveur ? Actuellement : **{label}** (`{zone}`). Un changement vaut à partir de maintenant ; les jours passés restent comme ils ont été comptés.";
    SETUP_ZONE_UNKNOWN: "I know no time zone called `{typed}`. Try the nearest large city, for example `Paris` or `New York`.", "Je ne connais pas de fuseau appelé `{typed}`. Essayez la grande ville la plus proche, par exemple `Paris` ou `New York`.";
    SETUP_ZONE_SIMILAR: "I know no time zone called `{typed}`. Did you mean one of these?", "Je ne connais pas de fuseau appelé `{typed}`. Vouliez-vous dire l'un de ceux-ci ?";
    SETUP_MODULES_TITLE: "Modules", "Modules";
    SETUP_MODULES: "What should be switched on? You can change this at any time; switching a module off deletes nothing.", "Que faut-il activer ? Vous pouvez changer d'avis à tout moment ; désactiver un module ne supprime rien.";
    SETUP_REVIEW_TITLE: "Summary", "Récapitulatif";
    SETUP_REVIEW: "This is what will be saved.", "Voici ce qui sera enregistré.";
    SETUP_SAVED_TITLE: "Saved ✅", "Enregistré ✅";
    SETUP_SAVED: "All set. Try `/stats server`, or `/sync` to see whether I can see everything I need. Run `/setup` again whenever you like.", "C'est prêt. Essayez `/stats serveur`, ou `/actualiser` pour vérifier que je vois tout ce qu'il me faut. Relancez `/configurer` quand vous voulez.";
    SETUP_CANCELLED: "Cancelled. Nothing was changed.", "Annulé. Rien n'a été modifié.";
    SETUP_CONFLICT_TITLE: "Somebody was quicker", "Quelqu'un a été plus rapide";
    SETUP_CONFLICT: "{who} saved other settings {when}, while you were choosing. Those below are in force. Yours are kept here until you decide.", "{who} a enregistré d'autres réglages {when}, pendant que vous choisissiez. Ceux ci-dessous sont en vigueur. Les vôtres sont gardés ici jusqu'à votre décision.";
    SETUP_CONFLICT_MINE: "Your choices, not saved", "Vos choix, non enregistrés";
    FIELD_LANGUAGE: "Language", "Langue";
    FIELD_ZONE: "Time zone", "Fuseau horaire";
    FIELD_MODULES: "Modules", "Modules";
    NO_MODULES: "none", "aucun";
    MODULE_ANALYTICS: "Analytics", "Statistiques";
    MODULE_ANALYTICS_HELP: "Exact counts, trends and charts", "Comptes exacts, tendances et graphiques";
    MODULE_MODERATION: "Moderation", "Modération";
    MODULE_MODERATION_HELP: "Cases, warnings, timed bans (in preparation)", "Dossiers, avertissements, bannissements temporaires (en préparation)";
    MODULE_TICKETS: "Tickets", "Tickets";
    MODULE_TICKETS_HELP: "Support requests with transcripts (in preparation)", "Demandes d'aide avec transcriptions (en préparation)";
    MODULE_AUTOMATIONS: "Automations", "Automatisations";
    MODULE_AUTOMATIONS_HELP: "Rules: trigger, conditions, actions (in preparation)", "Règles : déclencheur, conditions, actions (en préparation)";
    REGION_EUROPE: "Europe", "Europe";
    REGION_AMERICAS: "Americas", "Amériques";
    REGION_ASIA: "Asia", "Asie";
    REGION_AFRICA: "Africa & Middle East", "Afrique et Moyen-Orient";
    REGION_PACIFIC: "Australia & Pacific", "Australie et Pacifique";
    PLACEHOLDER_ZONE: "Choose a city in your time zone", "Choisissez une ville de votre fuseau";
    PLACEHOLDER_MODULES: "Choose modules", "Choisissez les modules";
    MODAL_ZONE: "City or time zone", "Ville ou fuseau horaire";
    MODAL_ZONE_HELP: "A large city near you, or a name such as Europe/Paris", "Une grande ville proche, ou un nom comme Europe/Paris";
    BUTTON_BACK: "Back", "Retour";
    BUTTON_CONTINUE: "Continue", "Continuer";
    BUTTON_CANCEL: "Cancel", "Annuler";
    BUTTON_SAVE: "Save", "Enregistrer";
    BUTTON_SAVE_MINE: "Save mine instead", "Enregistrer les miens";
    BUTTON_KEEP_THEIRS: "Keep theirs", "Garder les leurs";
    BUTTON_TYPE_ZONE: "Type a name…", "Saisir un nom…";
    BUTTON_KEEP: "Keep {value}", "Garder {value}";

    // Sync.
    SYNC_TITLE: "Read again from Discord", "Relecture depuis Discord";
    SYNC_READ: "{channels} ({voice} for voice) and {roles} were read; what I had cached of this server is forgotten.", "{channels} (dont {voice} pour la voix) et {roles} ont été relus ; ce que j'avais en cache de ce serveur est oublié.";
    COUNT_CHANNEL: "{count} channel", "{count} salon";
    COUNT_CHANNELS: "{count} channels", "{count} salons";
    COUNT_ROLE: "{count} role", "{count} rôle";
    COUNT_ROLES: "{count} roles", "{count} rôles";
    SYNC_FINE: "I can see and do everything the active modules need.", "Je vois et peux faire tout ce qu'exigent les modules actifs.";
    SYNC_LOOK: "Some things deserve a look:", "Quelques points à regarder :";
    SYNC_MEMBERS: "about {members}", "environ {members}";
    SYNC_MISSING: "Give my role these in *Server Settings → Roles*:", "Donnez-les à mon rôle dans *Paramètres du serveur → Rôles* :";
    SYNC_HIDDEN: "I cannot see {count}, so nothing that happens there is counted: {channels}\nLet my role **View Channel** there, unless that is what you want.", "Je ne vois pas {count} ; ce qui s'y passe n'est donc pas compté : {channels}\nAccordez-y **Voir le salon** à mon rôle, sauf si c'est voulu.";
    SYNC_NOT_THERE: "I am not a member of this server, or Discord hides it from me. Invite me again with the scope `bot`, then run `/sync`.", "Je ne suis pas membre de ce serveur, ou Discord me le cache. Invitez-moi de nouveau avec la portée `bot`, puis lancez `/actualiser`.";
    SYNC_FAILED: "Discord gave an answer I could not read. What was cached is forgotten and will be read when it is needed. Try again later.", "Discord a donné une réponse que je n'ai pas pu lire. Le cache est vidé et sera relu au besoin. Réessayez plus tard.";
    SYNC_GAVE_UP: "I could not finish reading this server from Discord. Nothing was changed. Use `/sync` again in a few minutes; if it stays like this, tell whoever runs me.", "Je n'ai pas pu achever la relecture de ce serveur depuis Discord. Rien n'a été modifié. Relancez `/actualiser` dans quelques minutes ; si cela persiste, prévenez la personne qui m'héberge.";
    FIELD_MEMBERS: "Members", "Membres";
    FIELD_MISSING: "Missing permissions", "Permissions manquantes";
    FIELD_HIDDEN: "Hidden channels", "Salons cachés";
    NEED_AUDIT_LOG: "**View Audit Log**: without it, who did what stays unknown", "**Voir les logs du serveur** : sans elle, on ignore qui a fait quoi";
    NEED_MANAGE_GUILD: "**Manage Server**: without it, invites are not counted", "**Gérer le serveur** : sans elle, les invitations ne sont pas comptées";
    NEED_BAN: "**Ban Members**", "**Bannir des membres**";
    NEED_KICK: "**Kick Members**", "**Expulser des membres**";
    NEED_TIMEOUT: "**Timeout Members**", "**Exclure temporairement des membres**";
    NEED_MANAGE_MESSAGES: "**Manage Messages**", "**Gérer les messages**";
    NEED_MANAGE_CHANNELS: "**Manage Channels**: tickets are channels", "**Gérer les salons** : les tickets sont des salons";
    NEED_MANAGE_ROLES: "**Manage Roles**: who sees a ticket is decided by permissions", "**Gérer les rôles** : l'accès à un ticket passe par les permissions";

    // Statistics.
    STATS_HEADING: "### {subject} · {period}", "### {subject} · {period}";
    STATS_COMPARED: "Compared with {days} days earlier, up to the same time of day.", "Par rapport à {days} jours plus tôt, jusqu'à la même heure.";
    STATS_COMPARED_DAY: "Compared with the 24 hours before.", "Par rapport aux 24 heures précédentes.";
    STATS_COMPARED_DAYS: "Trends leave out today and compare whole days with those {days} days earlier.", "Les tendances laissent de côté aujourd'hui et comparent les jours entiers à ceux de {days} jours plus tôt.";
    STATS_NO_DATA_BEFORE: "No data before, so no trend yet.", "Pas de données avant, donc pas encore de tendance.";
    STATS_FRESH: "Last counted {when}.", "Dernier comptage {when}.";
    STATS_GAPS: "⚠️ Discord could not deliver everything: {gaps}. What happened then is missing from these numbers.", "⚠️ Discord n'a pas pu tout livrer : {gaps}. Ce qui s'est passé alors manque à ces chiffres.";
    STATS_NOT_SET_UP: "Days are counted in UTC: an administrator can choose this server's time zone with `/setup`.", "Les jours sont comptés en UTC : un administrateur peut choisir le fuseau du serveur avec `/configurer`.";
    STATS_NOTHING_YET: "I have not counted anything here yet. I count from the moment I join: write a message and ask again in a few seconds. If it stays empty, `/sync` tells whether I can see the channels.", "Je n'ai encore rien compté ici. Je compte dès mon arrivée : écrivez un message et redemandez dans quelques secondes. Si cela reste vide, `/actualiser` dit si je vois les salons.";
    STATS_NOTHING_HERE: "{subject}: nothing was counted in the {period}. Try a longer period.", "{subject} : rien n'a été compté ({period}). Essayez une durée plus longue.";
    STATS_SWITCHED_OFF: "Analytics is switched off in this server. Whoever has **Manage Server** can switch it on with `/setup`.", "Les statistiques sont désactivées dans ce serveur. Qui a **Gérer le serveur** peut les activer avec `/configurer`.";
    STATS_MEMBER_FORBIDDEN: "Other members' numbers are only for those with **Administrator**, **Manage Server** or **View Server Insights**. Your own are yours: `/stats member` without a name.", "Les chiffres des autres membres sont réservés à qui a **Administrateur**, **Gérer le serveur** ou **Voir les analyses de serveur**. Les vôtres sont à vous : `/stats membre` sans nom.";
    STATS_CHANNEL_FORBIDDEN: "You cannot see that channel, so I keep its numbers to myself. Choose one you can see.", "Vous ne voyez pas ce salon, je garde donc ses chiffres pour moi. Choisissez-en un que vous voyez.";
    SUBJECT_SERVER: "Server", "Serveur";
    FIGURE_MESSAGES: "Messages", "Messages";
    FIGURE_VOICE: "Voice", "Vocal";
    FIGURE_REACTIONS: "Reactions", "Réactions";
    FIGURE_MEMBERS: "Members", "Membres";
    FIGURE_JOINS: "Joined, left", "Arrivées, départs";
    FIELD_TOP_CHANNELS: "Most active channels", "Salons les plus actifs";
    FIELD_TOP_MEMBERS: "Most active members", "Membres les plus actifs";
    FIELD_TOP_MEMBERS_DAYS: "Most active members (yesterday and today)", "Membres les plus actifs (hier et aujourd'hui)";
    TREND_SAME: "unchanged", "inchangé";
    TREND_FROM_NOTHING: "from 0", "depuis 0";
    CHART_MESSAGES: "Messages", "Messages";
    CHART_BOTS: "Bots", "Bots";
    CHART_VOICE: "Voice (hours)", "Vocal (heures)";
    CHART_GAP: "No data received", "Rien reçu";
    CHART_UPDATED: "as of {time}", "à {time}";
    CHART_UPDATED_DAY: "as of {day}, {time}", "le {day} à {time}";
    CHART_ALTERNATIVE: "Chart of the {period}: {figures}", "Graphique ({period}) : {figures}";
}
