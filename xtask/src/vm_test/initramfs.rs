//! The small first filesystem of a virtual machine: the modules without which its disk cannot be read and sandboxes
//! cannot be made.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::kernels::Kernel;
use super::tree::{BUSYBOX, Tree};
use crate::invoke;

/// What is needed, where the kernel does not have it built in. What these need themselves, `modprobe` knows.
const MODULES: [&str; 5] = ["virtio_pci", "virtio_blk", "ext4", "overlay", "loop"];

/// Packs it for `kernel` in the folder `scratch`.
pub(super) fn make(kernel: &Kernel, scratch: &Path) -> Result<PathBuf> {
    let name = format!("initramfs-{}", kernel.version);
    let tree = Tree::new(scratch.join(&name))?;
    tree.add_programs(&[BUSYBOX.into()].into())?;
    tree.write("/init", include_str!("initramfs.sh"), 0o755)?;
    for (number, module) in modules(kernel)?.iter().enumerate() {
        let file = module.file_name().context("a module has a name")?.to_string_lossy();
        // The order of the names is the order in which they are loaded.
        tree.add(module, Path::new(&format!("/modules/{number:02}-{file}")))?;
    }
    pack(&tree, &format!("{name}.cpio"))
}

/// The files of [`MODULES`] and of all that they depend on, each after what it needs.
fn modules(kernel: &Kernel) -> Result<Vec<PathBuf>> {
    let mut modprobe = Command::new("/sbin/modprobe");
    // This machine's own settings must not matter.
    modprobe.args(["--show-depends", "--all", "--config", "/dev/null", "--dirname"]).arg(&kernel.tree);
    modprobe.args(["--set-version", &kernel.release()]).args(MODULES);
    let mut files: Vec<PathBuf> = Vec::new();
    for line in invoke::text(&mut modprobe)?.lines() {
        // The other lines name what is built in.
        let Some(file) = line.strip_prefix("insmod ") else { continue };
        let file = PathBuf::from(file.trim());
        if !files.contains(&file) {
            files.push(file);
        }
    }
    ensure!(!files.is_empty(), "modprobe knows no modules of {}", kernel.release());
    Ok(files)
}

fn pack(tree: &Tree, name: &str) -> Result<PathBuf> {
    let mut pack = Command::new("sh");
    pack.args(["-c", "find . | \"$0\" cpio -o -H newc 2>/dev/null >\"../$1\""]).arg(BUSYBOX).arg(name);
    invoke::run(pack.current_dir(&tree.root))?;
    Ok(tree.root.with_file_name(name))
}
