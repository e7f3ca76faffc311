//! Words for simulated people.

use rand::Rng;
use rand::seq::IndexedRandom as _;

const OPENINGS: [&str; 16] = [
    "has anyone tried",
    "I finally finished",
    "quick question about",
    "look at",
    "thanks for",
    "can we talk about",
    "I keep coming back to",
    "just found",
    "who else likes",
    "not sure about",
    "we should revive",
    "the story of",
    "yesterday's",
    "my notes on",
    "good news about",
    "still waiting for",
];
const THINGS: [&str; 24] = [
    "the new release",
    "that bridge photo",
    "the reading club",
    "Friday's game",
    "the soldering iron",
    "the map",
    "the second chapter",
    "this recipe",
    "the tournament",
    "the voice lounge",
    "the old playlist",
    "the workshop",
    "the garden log",
    "the translation",
    "the meetup",
    "the speedrun",
    "the sourdough",
    "the train timetable",
    "the comet",
    "the prototype",
    "the poll",
    "the mural",
    "the debugger",
    "the trailer",
];
const ENDINGS: [&str; 16] = [
    "",
    "",
    "",
    "?",
    "!",
    ", what do you think?",
    ", it was lovely",
    ", more tomorrow",
    ", bring friends",
    ", details in the thread",
    " again",
    ", finally",
    " (long)",
    ", no spoilers please",
    " :)",
    ", count me in",
];
const THREADS: [&str; 8] = [
    "Reading list",
    "Weekend meetup",
    "Release feedback",
    "Recipe swap",
    "Build log",
    "Tournament bracket",
    "Ideas",
    "Found this",
];

/// A sentence of a few words.
pub(super) fn sentence(rng: &mut impl Rng) -> String {
    let pick = |rng: &mut _, words: &[&'static str]| words.choose(rng).copied().unwrap_or_default();
    format!("{} {}{}", pick(rng, &OPENINGS), pick(rng, &THINGS), pick(rng, &ENDINGS))
}

/// The name of a thread.
pub(super) fn thread(rng: &mut impl Rng) -> String {
    THREADS.choose(rng).copied().unwrap_or_default().to_owned()
}
