//! The runner against real SQS and DynamoDB protocols and a stateful Discord over WebSocket.

mod budget;
mod exactness;
mod faults;
mod leases;
mod process;
mod resharding;
mod sending;
mod sets;
mod support;
mod withheld;
