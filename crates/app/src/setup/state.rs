//! What the setup has gathered so far, as the id of a component.
//!
//! **Invariant:** an id is at most 100 characters (Discord documentation, "Custom ID") and decodes to what was encoded;
//! whatever does not decode is refused as a whole.

use std::collections::BTreeSet;

use guildhall_domain::{GuildSettings, Module};

use super::zones::Region;

/// The first characters of every id, with the version of what follows.
const PREFIX: &str = "setup1";

/// A point of the flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// What using the component leads to.
    pub step: Step,
    /// What was chosen so far.
    pub settings: GuildSettings,
    /// The revision the choices started from; `None` when the guild had no settings.
    pub base: Option<i64>,
}

/// What using a component leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Choosing the language.
    Language,
    /// Choosing the time zone among those of a region.
    Zone(Region),
    /// The select's value is the time zone.
    PickZone,
    /// Typing the time zone; also the modal itself.
    TypeZone,
    /// Choosing the modules.
    Modules,
    /// The select's values are the modules.
    PickModules,
    /// The summary.
    Review,
    /// Storing what was chosen.
    Save,
    /// Storing nothing.
    Cancel,
}

impl Step {
    const fn code(self) -> &'static str {
        match self {
            Self::Language => "l",
            Self::Zone(Region::Europe) => "z0",
            Self::Zone(Region::Americas) => "z1",
            Self::Zone(Region::Asia) => "z2",
            Self::Zone(Region::Africa) => "z3",
            Self::Zone(Region::Pacific) => "z4",
            Self::PickZone => "p",
            Self::TypeZone => "t",
            Self::Modules => "m",
            Self::PickModules => "k",
            Self::Review => "r",
            Self::Save => "s",
            Self::Cancel => "x",
        }
    }

    fn from_code(code: &str) -> Option<Self> {
        let simple = [
            Self::Language,
            Self::PickZone,
            Self::TypeZone,
            Self::Modules,
            Self::PickModules,
            Self::Review,
            Self::Save,
            Self::Cancel,
        ];
        simple.into_iter().chain(Region::ALL.map(Self::Zone)).find(|step| step.code() == code)
    }
}

impl State {
    /// The same choices, leading elsewhere.
    #[must_use]
    pub fn to(&self, step: Step) -> Self {
        Self { step, ..self.clone() }
    }

    /// The id of a component that leads to this state.
    pub fn encode(&self) -> String {
        let modules = Module::ALL.iter().enumerate().filter(|(_, module)| self.settings.modules.contains(module));
        let modules: u8 = modules.fold(0, |bits, (place, _)| bits | (1 << place));
        let base = self.base.map(|revision| revision.to_string()).unwrap_or_default();
        format!(
            "{PREFIX}:{}:{}:{modules:x}:{base}:{}",
            self.step.code(),
            self.settings.language,
            self.settings.time_zone
        )
    }

    /// The state of an id; `None` for ids of other flows and other versions.
    pub fn decode(id: &str) -> Option<Self> {
        let mut parts = id.splitn(6, ':');
        if parts.next()? != PREFIX {
            return None;
        }
        let step = Step::from_code(parts.next()?)?;
        let language = parts.next()?.parse().ok()?;
        let bits = u8::from_str_radix(parts.next()?, 16).ok().filter(|bits| bits >> Module::ALL.len() == 0)?;
        let base = match parts.next()? {
            "" => None,
            text => Some(text.parse().ok()?),
        };
        let time_zone = parts.next()?.parse().ok()?;
        let modules: BTreeSet<_> =
            Module::ALL.into_iter().enumerate().filter(|(place, _)| bits & (1 << place) != 0).map(|(_, m)| m).collect();
        Some(Self { step, settings: GuildSettings { language, time_zone, modules }, base })
    }
}

#[cfg(test)]
mod tests {
    use guildhall_domain::{Language, TimeZone};
    use proptest::prelude::*;

    use super::*;

    const STEPS: [Step; 13] = [
        Step::Language,
        Step::Zone(Region::Europe),
        Step::Zone(Region::Americas),
        Step::Zone(Region::Asia),
        Step::Zone(Region::Africa),
        Step::Zone(Region::Pacific),
        Step::PickZone,
        Step::TypeZone,
        Step::Modules,
        Step::PickModules,
        Step::Review,
        Step::Save,
        Step::Cancel,
    ];

    proptest! {
        #[test]
        fn states_survive_their_ids_and_fit(
            step in prop::sample::select(&STEPS),
            language in prop::sample::select(&Language::ALL),
            zone in prop::sample::select(TimeZone::all().collect::<Vec<_>>()),
            modules in prop::sample::subsequence(&Module::ALL, 0..=Module::ALL.len()),
            base in prop::option::of(any::<i64>()),
        ) {
            let settings = GuildSettings { language, time_zone: zone, modules: modules.into_iter().collect() };
            let state = State { step, settings, base };
            let id = state.encode();
            prop_assert!(id.len() <= 100, "{id}");
            prop_assert_eq!(State::decode(&id), Some(state));
        }

        #[test]
        fn whatever_somebody_sends_is_read_or_refused(id in ".{0,120}") {
            if let Some(state) = State::decode(&id) {
                prop_assert!(State::decode(&state.encode()) == Some(state));
            }
        }
    }

    #[test]
    fn foreign_ids_are_refused() {
        for id in [
            "",
            "setup1",
            "setup0:l:en:1::UTC",
            "setup1:q:en:1::UTC",
            "setup1:l:de:1::UTC",
            "setup1:l:en:10::UTC",
            "setup1:l:en:1:x:UTC",
            "setup1:l:en:1::Mars/Olympus",
        ] {
            assert_eq!(State::decode(id), None, "{id}");
        }
        assert!(State::decode("setup1:l:en:1::UTC").is_some());
    }
}
