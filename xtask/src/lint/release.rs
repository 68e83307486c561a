//! What only a debug build has must be in no release build, not even by name.

use std::path::Path;

use anyhow::Result;

use crate::project::Project;

/// Words of failpoints and of the provider for tests: their variables, and names that only they have.
const WORDS: [&str; 5] =
    ["SANDGATE_FAILPOINTS", "SANDGATE_TEST_WORLD", "container.bound", "container.unbound", "failpoint"];

/// The words that the release binary contains. Where none was built there is nothing to look at.
pub(super) fn offenders(project: &Project) -> Result<Vec<String>> {
    let binary = project.target.join("release/sandgate");
    if !binary.is_file() {
        println!("no release build at {}: nothing was looked at", binary.display());
        return Ok(Vec::new());
    }
    let found = words_of(&std::fs::read(&binary)?);
    Ok(found.into_iter().map(|word| told(&binary, word)).collect())
}

fn told(binary: &Path, word: &str) -> String {
    format!("{} contains `{word}`, which only a debug build may", binary.display())
}

fn words_of(binary: &[u8]) -> Vec<&'static str> {
    WORDS.into_iter().filter(|word| binary.windows(word.len()).any(|part| part == word.as_bytes())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_found_wherever_it_stands() {
        assert_eq!(words_of(b"\0\x7fcontainer.boundSANDGATE_FAILPOINTS\0"), [WORDS[0], WORDS[2]]);
        assert!(words_of(b"SANDGATE_API_KEY container").is_empty());
    }
}
