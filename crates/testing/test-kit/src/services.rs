//! Where the services that tests use are listening.
//!
//! **Invariant:** a missing service fails the test that needs it, with the command that starts it; no test is skipped.

/// The URL of a PostgreSQL server on which databases may be created.
pub const POSTGRES: &str = "GUILDHALL_TEST_POSTGRES";
/// The URL of one with TimescaleDB's Apache edition, or `absent` where it cannot be had.
pub const TIMESCALE: &str = "GUILDHALL_TEST_TIMESCALE";
/// The URL of a server that speaks the Redis protocol.
pub const REDIS: &str = "GUILDHALL_TEST_REDIS";
/// The endpoint of an emulator of SQS and DynamoDB.
pub const AWS: &str = "GUILDHALL_TEST_AWS";
/// The program `prometheus`.
pub const PROMETHEUS: &str = "GUILDHALL_TEST_PROMETHEUS";

/// The value of one of the variables above, or of another that `cargo xtask test` sets.
///
/// # Panics
/// When it is not set.
#[expect(clippy::disallowed_methods, reason = "tests are configured by the command that starts their services")]
pub fn service(name: &str) -> String {
    match std::env::var(name) {
        Ok(value) if !value.is_empty() => value,
        _ => panic!("{name} is not set: run `cargo xtask test`, which starts what the tests need"),
    }
}

/// The variables with which an AWS SDK talks to the emulator.
pub fn aws_environment() -> [(&'static str, String); 4] {
    [
        ("AWS_ENDPOINT_URL", service(AWS)),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", "test".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
    ]
}
