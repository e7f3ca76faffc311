//! What is read from samples, and what is claimed of it.

use std::fmt;

use crate::Sample;

/// In which direction a figure improves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// More is better: rates.
    Higher,
    /// Less is better: times, bytes.
    Lower,
}

/// What is claimed of ours, alone or beside another contestant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Claim {
    /// Ours divided by the other's is at least this.
    RatioAtLeast(f64),
    /// Ours divided by the other's is at most this.
    RatioAtMost(f64),
    /// Ours is this many times as good, whichever direction is good.
    Times(f64),
    /// Ours exceeds the other's by at most this, in the figure's unit.
    MoreByAtMost(f64),
    /// Ours is at least this, in the figure's unit.
    AtLeast(f64),
    /// Ours is at most this, in the figure's unit.
    AtMost(f64),
}

impl Claim {
    /// What the claim is judged by, from one round's two values.
    pub fn quantity(self, better: Better, ours: f64, other: f64) -> f64 {
        match self {
            Self::RatioAtLeast(_) | Self::RatioAtMost(_) => ours / other,
            Self::Times(_) => times(better, ours, other),
            Self::MoreByAtMost(_) => ours - other,
            Self::AtLeast(_) | Self::AtMost(_) => ours,
        }
    }

    /// Whether it holds for that quantity.
    pub fn holds(self, quantity: f64) -> bool {
        match self {
            Self::RatioAtLeast(bound) | Self::Times(bound) | Self::AtLeast(bound) => quantity >= bound,
            Self::RatioAtMost(bound) | Self::MoreByAtMost(bound) | Self::AtMost(bound) => quantity <= bound,
        }
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RatioAtLeast(bound) => write!(f, "≥ {bound} of it"),
            Self::RatioAtMost(bound) => write!(f, "≤ {bound} of it"),
            Self::Times(bound) => write!(f, "≥ {bound}×"),
            Self::MoreByAtMost(bound) => write!(f, "≤ +{bound}"),
            Self::AtLeast(bound) => write!(f, "≥ {bound}"),
            Self::AtMost(bound) => write!(f, "≤ {bound}"),
        }
    }
}

/// How many times as good as the other's ours is.
pub fn times(better: Better, ours: f64, other: f64) -> f64 {
    match better {
        Better::Higher => ours / other,
        Better::Lower => other / ours,
    }
}

/// What a contestant is to a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The product.
    Ours,
    /// What the machine can do at best.
    Limit,
    /// What others use.
    Peer,
    /// Shown for comparison; nothing is claimed.
    Beside,
}

impl Role {
    /// Its word in tables.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Limit => "limit",
            Self::Peer => "peer",
            Self::Beside => "beside",
        }
    }
}

/// One line of a figure.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// The contestant.
    pub contestant: &'static str,
    /// What it is to the figure.
    pub role: Role,
    /// What is claimed of ours beside it; for ours itself, alone.
    pub claim: Option<Claim>,
}

/// A number that is read from the samples of several contestants.
#[derive(Debug, Clone)]
pub struct Figure {
    /// What it is, without its unit.
    pub title: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// Its direction.
    pub better: Better,
    /// How it is read from a sample.
    pub of: fn(&Sample) -> Option<f64>,
    /// Ours, then the others.
    pub rows: Vec<Row>,
}

impl Figure {
    /// A figure of `ours`.
    pub fn new(
        title: &'static str,
        unit: &'static str,
        better: Better,
        of: fn(&Sample) -> Option<f64>,
        ours: &'static str,
    ) -> Self {
        Self { title, unit, better, of, rows: vec![Row { contestant: ours, role: Role::Ours, claim: None }] }
    }

    /// With a claim about ours alone.
    #[must_use]
    pub fn claiming(mut self, claim: Claim) -> Self {
        self.rows[0].claim = Some(claim);
        self
    }

    /// Beside what the machine can do.
    #[must_use]
    pub fn limit(self, contestant: &'static str, claim: Claim) -> Self {
        self.row(contestant, Role::Limit, Some(claim))
    }

    /// Beside what others use.
    #[must_use]
    pub fn peer(self, contestant: &'static str, claim: Claim) -> Self {
        self.row(contestant, Role::Peer, Some(claim))
    }

    /// Beside something of which nothing is claimed.
    #[must_use]
    pub fn beside(self, contestant: &'static str) -> Self {
        self.row(contestant, Role::Beside, None)
    }

    fn row(mut self, contestant: &'static str, role: Role, claim: Option<Claim>) -> Self {
        self.rows.push(Row { contestant, role, claim });
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_judged_in_its_direction() {
        let judged = |claim: Claim, better, ours, other| claim.holds(claim.quantity(better, ours, other));
        assert!(judged(Claim::RatioAtLeast(0.9), Better::Higher, 95.0, 100.0));
        assert!(!judged(Claim::RatioAtLeast(0.9), Better::Higher, 85.0, 100.0));
        assert!(judged(Claim::RatioAtMost(1.3), Better::Lower, 13.0, 10.0));
        assert!(!judged(Claim::RatioAtMost(1.3), Better::Lower, 14.0, 10.0));
        assert!(judged(Claim::Times(3.0), Better::Higher, 30.0, 10.0));
        assert!(judged(Claim::Times(3.0), Better::Lower, 10.0, 30.0));
        assert!(!judged(Claim::Times(3.0), Better::Lower, 10.0, 29.0));
        assert!(judged(Claim::MoreByAtMost(10.0), Better::Lower, 19.0, 10.0));
        assert!(!judged(Claim::MoreByAtMost(10.0), Better::Lower, 21.0, 10.0));
        assert!(judged(Claim::AtMost(6.0), Better::Lower, 5.0, f64::NAN));
        assert!(!judged(Claim::AtLeast(6.0), Better::Higher, 5.0, f64::NAN));
    }
}
