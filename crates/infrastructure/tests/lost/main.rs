//! The facade over the real ledger and a provider that loses answers: each create is delivered once or not at all, and
//! what nobody was told of goes away by itself.

mod creates;
mod quota;
mod rig;
