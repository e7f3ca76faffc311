//! The signature on an interaction (Discord documentation, "Setting Up an Endpoint: Validating Security Request Headers").
//!
//! **Invariant:** verification sees the body as it arrived, byte for byte, before anything parses it.
//! **Invariant:** it is strict: malleable signatures and keys of small order are refused.

use ed25519_dalek::{Signature, VerifyingKey};

/// Checks that requests come from Discord.
#[derive(Clone, Debug)]
pub struct Verifier {
    key: VerifyingKey,
}

/// The application's public key is not 64 hexadecimal digits that name a usable Ed25519 key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an Ed25519 public key in hexadecimal")]
pub struct InvalidPublicKey;

/// The request was not signed by Discord. No detail: it could only help whoever forges requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not match")]
pub struct InvalidSignature;

impl Verifier {
    /// A verifier for the public key that Discord shows for the application, in hexadecimal.
    ///
    /// # Errors
    /// When the text is not such a key.
    pub fn from_hex(public_key: &str) -> Result<Self, InvalidPublicKey> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(public_key.trim(), &mut bytes).map_err(|_| InvalidPublicKey)?;
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| InvalidPublicKey)?;
        if key.is_weak() {
            return Err(InvalidPublicKey);
        }
        Ok(Self { key })
    }

    /// Checks the headers `X-Signature-Ed25519` and `X-Signature-Timestamp` against the raw body. Whether the
    /// timestamp is recent is for the caller to judge, who has a clock.
    ///
    /// # Errors
    /// When the signature is malformed or does not match.
    pub fn verify(&self, signature: &str, timestamp: &str, body: &[u8]) -> Result<(), InvalidSignature> {
        let mut bytes = [0; 64];
        hex::decode_to_slice(signature, &mut bytes).map_err(|_| InvalidSignature)?;
        let mut message = Vec::with_capacity(timestamp.len() + body.len());
        message.extend_from_slice(timestamp.as_bytes());
        message.extend_from_slice(body);
        self.key.verify_strict(&message, &Signature::from_bytes(&bytes)).map_err(|_| InvalidSignature)
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer as _, SigningKey};

    use super::*;

    fn pair() -> (SigningKey, Verifier) {
        let key = SigningKey::from_bytes(&[7; 32]);
        let verifier = Verifier::from_hex(&hex::encode(key.verifying_key().to_bytes())).expect("a key");
        (key, verifier)
    }

    fn sign(key: &SigningKey, text: &str) -> String {
        hex::encode(key.sign(text.as_bytes()).to_bytes())
    }

    #[test]
    fn what_discord_signed_passes_and_nothing_else() {
        let (key, verifier) = pair();
        let signature = sign(&key, r#"1700000000{"type":1}"#);
        assert_eq!(verifier.verify(&signature, "1700000000", br#"{"type":1}"#), Ok(()));
        for (signature, timestamp, body) in [
            (signature.as_str(), "1700000001", r#"{"type":1}"#),
            (signature.as_str(), "1700000000", r#"{"type":2}"#),
            (signature.as_str(), "1700000000", r#"{"type":1} "#),
            (&signature[2..], "1700000000", r#"{"type":1}"#),
            ("", "1700000000", r#"{"type":1}"#),
            ("zz", "1700000000", r#"{"type":1}"#),
            (&"00".repeat(64), "1700000000", r#"{"type":1}"#),
        ] {
            assert_eq!(verifier.verify(signature, timestamp, body.as_bytes()), Err(InvalidSignature), "{signature}");
        }
    }

    #[test]
    fn a_signature_of_another_key_is_refused() {
        let (_, verifier) = pair();
        let other = SigningKey::from_bytes(&[8; 32]);
        assert_eq!(verifier.verify(&sign(&other, "1{}"), "1", b"{}"), Err(InvalidSignature));
    }

    #[test]
    fn unusable_keys_are_refused_at_the_start() {
        // The neutral element, for which anything verifies where strictness is missing.
        let weak = format!("01{}", "00".repeat(31));
        for key in ["", "abc", &"g0".repeat(32), weak.as_str()] {
            assert_eq!(Verifier::from_hex(key).expect_err("unusable"), InvalidPublicKey, "{key}");
        }
    }
}
