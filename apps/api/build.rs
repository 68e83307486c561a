//! Embeds the toolbox named by `SANDGATE_TOOLBOX_BIN`, if there is one. Without it the server looks for the toolbox
//! beside its own executable, so that plain `cargo check` and editors need no second build.

use std::path::Path;

fn main() {
    println!("cargo::rerun-if-env-changed=SANDGATE_TOOLBOX_BIN");
    println!("cargo::rustc-check-cfg=cfg(embedded_toolbox)");
    let Some(toolbox) = std::env::var_os("SANDGATE_TOOLBOX_BIN") else { return };
    let toolbox = Path::new(&toolbox);
    assert!(toolbox.is_file(), "SANDGATE_TOOLBOX_BIN names no file: {}", toolbox.display());
    println!("cargo::rerun-if-changed={}", toolbox.display());
    println!("cargo::rustc-env=SANDGATE_TOOLBOX_FILE={}", toolbox.display());
    println!("cargo::rustc-cfg=embedded_toolbox");
}
