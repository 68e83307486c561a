//! Every step of the write path, and everything that may befall it: what is left must be whole.
//!
//! A cell is one scenario, one passage of one failpoint in it, and one mode. Afterwards the server is started anew where it
//! crashed, does what is due, and must come to a clean slate.

#![cfg(debug_assertions)]

mod cell;
mod house;
mod matrix;
mod scenarios;
mod slate;
