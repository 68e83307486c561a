//! One cell: a scenario with something that befalls one of its steps, and what is left of it.

use crate::house::{House, Server};
use crate::scenarios::{Scenario, state_of};
use crate::slate::{check_ledger, pending, stains};
use sandgate_core::{ResourceLimits, SandboxConfig, SandboxRepository, SandboxService};
use sandgate_shared::failpoint::Mode;
use std::time::Duration;

/// So often is looked whether anything is due, in steps of a few seconds.
const LOOKS: usize = 60;
const PAUSE: Duration = Duration::from_secs(5);

/// What befalls a scenario.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cell {
    /// At which passage of which failpoint of the scenario, counted from 0, what happens.
    pub(crate) fault: Option<(String, usize, Mode)>,
    /// The same for the recovery after a crash: only a crash.
    pub(crate) again: Option<(String, usize)>,
}

/// What was passed.
#[derive(Debug, Default)]
pub(crate) struct Passed {
    pub(crate) act: Vec<String>,
    pub(crate) recovery: Vec<String>,
}

impl Cell {
    /// Plays `scenario`; what is wrong afterwards is the error.
    pub(crate) async fn play(&self, scenario: &Scenario) -> Result<Passed, String> {
        let house = House::new().await;
        let mut passed = Passed::default();
        let server = house.server().await;
        let answered = self.act(scenario, &server, &mut passed).await?;
        let server = if answered.is_some() {
            server
        } else {
            drop(server);
            self.recover(&house, &mut passed).await?
        };
        server.failpoints.record();
        appear_late(&server).await;
        (scenario.then)(server.clone()).await.map_err(|error| format!("asked again: {error}"))?;
        let allowed = if answered == Some(true) { scenario.done } else { scenario.otherwise };
        settle(&house, &server, allowed).await?;
        clear(&house, &server).await?;
        Ok(passed)
    }

    /// Whether the scenario was answered with success; `None` where the server crashed.
    async fn act(
        &self,
        scenario: &Scenario,
        server: &Server,
        passed: &mut Passed,
    ) -> Result<Option<bool>, String> {
        (scenario.prepare)(server.clone()).await;
        server.failpoints.record();
        for (name, modes) in self.plans(scenario) {
            server.failpoints.plan(&name, modes);
        }
        let answered = server.until_crash((scenario.act)(server.clone())).await;
        passed.act = server.failpoints.passed();
        self.must_have_befallen(&passed.act)?;
        let crashed = matches!(self.fault, Some((_, _, Mode::Hang)));
        if crashed != answered.is_none() {
            return Err("it hangs where nothing did, or went on where something did".to_owned());
        }
        Ok(answered.map(|answer| answer.is_ok()))
    }

    /// What goes wrong in the scenario by itself, and what befalls it in this cell on top.
    fn plans(&self, scenario: &Scenario) -> Vec<(String, Vec<Mode>)> {
        let mut plans: Vec<_> =
            scenario.wrong.iter().map(|(name, modes)| ((*name).to_owned(), modes.to_vec())).collect();
        if let Some((name, passage, mode)) = &self.fault {
            if !plans.iter().any(|(planned, _)| planned == name) {
                plans.push((name.clone(), Vec::new()));
            }
            let plan = plans.iter_mut().find(|(planned, _)| planned == name).map(|(_, modes)| modes);
            let modes = plan.expect("it is there");
            modes.resize(modes.len().max(passage + 1), Mode::Off);
            modes[*passage] = *mode;
        }
        plans
    }

    fn must_have_befallen(&self, passed: &[String]) -> Result<(), String> {
        match &self.fault {
            Some((name, passage, _)) if passed.iter().filter(|it| *it == name).count() <= *passage => {
                Err(format!("it was never passed: {passed:?}"))
            }
            _ => Ok(()),
        }
    }

    /// Starts the server anew, which crashes once more on its way if this cell says so.
    async fn recover(&self, house: &House, passed: &mut Passed) -> Result<Server, String> {
        if let Some((name, passage)) = &self.again {
            let server = house.server().await;
            let modes = std::iter::repeat_n(Mode::Off, *passage).chain([Mode::Hang]);
            server.failpoints.plan(name, modes);
            if server.until_crash(server.sandboxes.recover()).await.is_some() {
                return Err("the recovery did not come to where it should crash".to_owned());
            }
        }
        let server = house.server().await;
        server.failpoints.record();
        server.sandboxes.recover().await.map_err(|error| format!("recovery: {error}"))?;
        passed.recovery = server.failpoints.passed();
        Ok(server)
    }
}

/// What an abandoned attempt was about may appear long afterwards.
async fn appear_late(server: &Server) {
    let config = SandboxConfig::new(ResourceLimits::default().default);
    for abandoned in pending(server).await {
        server.service.create(&abandoned.attempt, &config).await.expect("it appears");
    }
}

/// Lets time pass until nothing is wrong any more.
async fn settle(
    house: &House,
    server: &Server,
    allowed: &[Option<sandgate_core::Observed>],
) -> Result<(), String> {
    let mut found = Vec::new();
    for _ in 0..LOOKS {
        server.sandboxes.reconcile().await.map_err(|error| format!("reconcile: {error}"))?;
        server.sandboxes.sweep().await.map_err(|error| format!("sweep: {error}"))?;
        found = stains(house, server).await;
        let state = state_of(server, "one").await;
        if !allowed.contains(&state) {
            found.push(format!("it is {state:?} and must be one of {allowed:?}"));
        }
        if found.is_empty() {
            return check_ledger(house);
        }
        server.pass(PAUSE).await;
    }
    Err(found.join("; "))
}

/// Deletes what is left, as its owner may; then there is nothing.
async fn clear(house: &House, server: &Server) -> Result<(), String> {
    for row in server.ledger.all_living().await.expect("living") {
        let deleted = server.sandboxes.delete(server.organization, &row.id.to_string()).await;
        deleted.map_err(|error| format!("delete at the end: {error}"))?;
    }
    let left = stains(house, server).await;
    if left.is_empty() && server.service.held() == 0 { Ok(()) } else { Err(format!("left: {left:?}")) }
}
