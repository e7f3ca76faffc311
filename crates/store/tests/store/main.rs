//! The store on real databases: plain PostgreSQL and TimescaleDB's Apache edition.

mod audit;
mod claims;
mod ingest;
mod limits;
mod migrations;
mod model;
mod rollup;
mod settings;
mod stats;
mod support;
mod voice;
