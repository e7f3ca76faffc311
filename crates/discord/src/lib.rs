//! Discord as this product sees it: the signature of an interaction, and the REST calls it makes.
//!
//! **Invariant:** secrets are typed and never printed; an interaction's token is one.
//! **Invariant:** every failure says whether trying again can help.

mod client;
mod error;
pub mod model;
mod verify;

pub use client::{Attachment, Client};
pub use error::{ClientError, ErrorKind};
pub use verify::{InvalidPublicKey, InvalidSignature, Verifier};
