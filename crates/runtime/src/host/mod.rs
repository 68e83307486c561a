//! x
use crate::Controller;
/// y
pub const fn remedy(controller: Controller) -> &'static str { match controller { Controller::Memory=>"m", Controller::Cpu=>"c", Controller::Pids=>"p" } }
