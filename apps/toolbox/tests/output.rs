//! Output: of any size, exact, in constant memory.

mod support;

use std::fmt::Write;

use sandgate_toolbox_api::ExecuteRequest;
use support::{Daemon, peak_memory};

const MIB: usize = 1 << 20;

#[tokio::test]
async fn a_hundred_megabytes_are_exact_and_do_not_stay_in_memory() {
    let daemon = Daemon::start().await;
    let client = daemon.client.clone().with_answer_limit(256 * MIB);
    let request = ExecuteRequest::new("seq 1 13000000 | head -c 104857600; echo end >&2; exit 9");
    let answer = client.execute(&request).await.expect("an answer");
    let mut expected = String::with_capacity(101 * MIB);
    for number in 1.. {
        if expected.len() >= 100 * MIB {
            break;
        }
        let _ = writeln!(expected, "{number}");
    }
    expected.truncate(100 * MIB);
    expected.push_str("end\n");
    assert_eq!(answer.exit_code, 9);
    assert_eq!(answer.result.len(), expected.len());
    assert!(answer.result == expected, "every byte is as it was written");
    assert!(peak_memory(daemon.pid()).expect("its memory") < 24 << 20, "{:?}", peak_memory(daemon.pid()));
    daemon.end().await;
}

#[tokio::test]
async fn characters_are_whole_wherever_a_buffer_ends() {
    let daemon = Daemon::start().await;
    for shift in 0..4 {
        let pad = "x".repeat(shift);
        let command = format!("printf '{pad}'; for i in $(seq 1 60000); do printf '€🦀ä\"\\\\\\n'; done");
        let answer = daemon.run(&command).await;
        let expected = format!("{pad}{}", "€🦀ä\"\\\n".repeat(60_000));
        assert!(answer.result == expected, "shifted by {shift}");
    }
    daemon.end().await;
}

#[tokio::test]
async fn a_character_that_is_written_in_pieces_is_whole() {
    let daemon = Daemon::start().await;
    let answer =
        daemon.run("printf '\\xf0\\x9f'; sleep 0.05; printf '\\xa6'; sleep 0.05; printf '\\x80'").await;
    assert_eq!(answer.result, "🦀");
    daemon.end().await;
}

#[tokio::test]
async fn what_is_no_text_is_replaced_and_the_rest_kept() {
    let daemon = Daemon::start().await;
    let answer = daemon.run("printf 'a\\xff\\xfeb\\xe2\\x82'; printf '\\0\\001\\033c\\xe2'").await;
    assert_eq!(answer.result, "a\u{FFFD}\u{FFFD}b\u{FFFD}\0\u{1}\u{1b}c\u{FFFD}");
    let random = daemon.run("head -c 300000 /dev/zero | tr '\\0' '\\377'").await;
    assert_eq!(random.result.chars().filter(|character| *character == '\u{FFFD}').count(), 300_000);
    daemon.end().await;
}

#[tokio::test]
async fn output_without_end_is_cut_off_and_its_writer_killed() {
    let daemon = Daemon::start().await;
    let refusal = daemon.refusal(&ExecuteRequest::new("cat /dev/zero & cat /dev/zero")).await;
    assert_eq!((refusal.status_code, refusal.code.as_deref()), (413, Some("PROCESS_OUTPUT_TOO_LARGE")));
    assert!(peak_memory(daemon.pid()).expect("its memory") < 24 << 20);
    assert_eq!(daemon.run("echo next").await.result, "next\n");
    daemon.end().await;
}

#[tokio::test]
async fn several_long_outputs_at_once_do_not_mix() {
    let daemon = Daemon::start().await;
    let mut all = tokio::task::JoinSet::new();
    for number in 0..8 {
        let client = daemon.client.clone();
        all.spawn(async move {
            let request = ExecuteRequest::new(format!("yes {number} | head -c 4000000"));
            (number, client.execute(&request).await.expect("an answer").result)
        });
    }
    for (number, result) in all.join_all().await {
        assert!(result == format!("{number}\n").repeat(2_000_000), "of command {number}");
    }
    daemon.end().await;
}
