//! REST, OAuth2 and interactions as clients see them, over real sockets.

mod endpoint;
mod harness;
mod interactions;
mod limits;
mod oauth2;
mod permissions;
mod shapes;
