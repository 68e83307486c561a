//! Links what the standard library only hopes to find.

/// `Command` uses `posix_spawn`, which does not copy page tables, only if it finds this function, and it looks for it by
/// a weak reference. That takes nothing out of a static C library, so that every command would be started with `fork`.
const WANTED: &str = "posix_spawn_file_actions_addchdir_np";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-link-arg-bins=-Wl,--undefined={WANTED}");
}
