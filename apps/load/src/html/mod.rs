//! The report as one HTML file that needs nothing else: no script, no font, no picture from anywhere.

mod chart;
mod curves;

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::records::OK;
use crate::results::{Figure, Repetition, Results, ScenarioResult, StepResult};

const STYLE: &str = include_str!("style.css");

pub(crate) fn write(results: &Results, file: &Path) -> Result<()> {
    fs::write(file, page(results)).with_context(|| format!("{} cannot be written", file.display()))
}

fn page(results: &Results) -> String {
    let scenarios: String = results.scenarios.iter().map(scenario).collect();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Sandgate under load</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n{}{scenarios}</body>\n</html>\n",
        head(results)
    )
}

fn head(results: &Results) -> String {
    let mut rows = String::new();
    for ScenarioResult { name, about, verdict, .. } in &results.scenarios {
        let (class, verdict) = (class(verdict), escape(&verdict.to_string()));
        let _ = writeln!(
            rows,
            "<tr><td><a href=\"#{name}\">{name}</a></td><td>{}</td><td class=\"{class}\">{verdict}</td></tr>",
            escape(about)
        );
    }
    format!(
        "<h1>Sandgate under load</h1>\n<p>{}<br>{}, commit {}, seed {}, each scenario {} times</p>\n\
         <p class=\"dim\">Latencies are counted from when a request was meant to be sent. Each repetition has a server \
         of its own and a warm-up that is not counted. Charts of gauges show the first repetition.</p>\n\
         <div class=\"scroll\"><table>\n{rows}</table></div>\n",
        escape(&results.machine.to_string()),
        escape(&results.taken),
        escape(&results.commit),
        results.settings.seed,
        results.settings.repeat
    )
}

fn scenario(scenario: &ScenarioResult) -> String {
    let ScenarioResult { name, about, verdict, .. } = scenario;
    let latency = curves::latency(scenario);
    let class_of_latency = if latency.len() == 1 { "wide" } else { "" };
    let mut charts: String = latency.iter().map(|chart| chart.figure(class_of_latency)).collect();
    charts.extend(curves::timelines(scenario).iter().map(|chart| chart.figure("")));
    format!(
        "<h2 id=\"{name}\">{name}</h2>\n<p>{}</p>\n<p class=\"{}\">{}</p>\n{}{}<div class=\"charts\">\n{charts}</div>\n{}",
        escape(about),
        class(verdict),
        escape(&verdict.to_string()),
        steps(&scenario.steps),
        figures(&scenario.figures),
        repetitions(&scenario.repetitions),
    )
}

fn steps(steps: &[StepResult]) -> String {
    let mut rows = String::new();
    for StepResult { step, outcome, per_second, summary: s, first_message, .. } in steps {
        let name = if outcome == OK { escape(step) } else { escape(&format!("{step}: {outcome}")) };
        let message =
            first_message.as_deref().map(|text| format!("<br>{}", escape(text))).unwrap_or_default();
        let _ = writeln!(
            rows,
            "<tr><td>{name}{message}</td><td>{}</td><td>{per_second:.1}</td><td>{:.2}</td><td>{:.2}</td>\
             <td>{:.2}</td><td>{:.2}</td><td>{:.2}</td></tr>",
            s.count, s.min, s.p50, s.p95, s.p99, s.max
        );
    }
    table(
        "<th>milliseconds</th><th>count</th><th>/s</th><th>min</th><th>p50</th><th>p95</th><th>p99</th><th>max</th>",
        &rows,
    )
}

fn figures(figures: &[Figure]) -> String {
    let mut rows = String::new();
    for figure in figures {
        let goal = match (figure.goal, figure.met()) {
            (Some(goal), Some(true)) => format!("<td class=\"passed\">≤ {goal}: met</td>"),
            (Some(goal), _) => format!("<td class=\"failed\">≤ {goal}: missed</td>"),
            (None, _) => "<td></td>".to_owned(),
        };
        let Figure { name, value, unit, .. } = figure;
        let _ =
            writeln!(rows, "<tr><td>{}</td><td>{value:.2} {}</td>{goal}</tr>", escape(name), escape(unit));
    }
    if rows.is_empty() { rows } else { table("<th></th><th>median</th><th>goal</th>", &rows) }
}

fn repetitions(repetitions: &[Repetition]) -> String {
    let mut rows = String::new();
    for (number, one) in repetitions.iter().enumerate() {
        let (class, verdict) = (class(&one.verdict), escape(&one.verdict.to_string()));
        let _ = writeln!(
            rows,
            "<tr><td>{}</td><td>{:.1}</td><td>{:.2}</td><td>{:.2}</td><td class=\"{class}\">{verdict}</td></tr>",
            number + 1,
            one.seconds,
            one.lag.p50,
            one.lag.p99
        );
    }
    let mut notes = String::new();
    for note in repetitions.iter().take(1).flat_map(|one| &one.notes) {
        let _ = writeln!(notes, "<p class=\"dim\">Absent: {}</p>", escape(note));
    }
    table(
        "<th>repetition</th><th>seconds</th><th>lag p50, ms</th><th>lag p99, ms</th><th>verdict</th>",
        &rows,
    ) + &notes
}

fn table(head: &str, rows: &str) -> String {
    format!("<div class=\"scroll\"><table>\n<tr>{head}</tr>\n{rows}</table></div>\n")
}

fn class(verdict: &crate::verdict::Verdict) -> String {
    verdict.outcome.to_string().to_lowercase()
}

/// Text as HTML; what a server answered may hold anything.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_answered_cannot_become_a_script() {
        assert_eq!(escape("<script src=\"x\">&"), "&lt;script src=&quot;x&quot;&gt;&amp;");
    }
}
