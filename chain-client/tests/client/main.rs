//! The crate's public face, used as a stranger would.

mod examples;
mod faults;
mod properties;
mod recording;
mod scripted;
mod submissions;
