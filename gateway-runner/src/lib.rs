//! gateway-runner
