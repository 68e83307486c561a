//! Formatted but empty disks, one for each size, kept beside the disks; a new disk is a sparse copy.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::fs::{Mode, OFlags, SeekFrom, copy_file_range, ioctl_ficlone, seek};
use rustix::io::Errno;

use super::{link, mount_ext4, open_existing, spare};
use crate::{Disk, RuntimeError};

/// Where distributions keep the formatter; the spawner has no search path.
const FORMATTERS: [&str; 4] =
    ["/usr/sbin/mkfs.ext4", "/sbin/mkfs.ext4", "/usr/bin/mkfs.ext4", "/bin/mkfs.ext4"];

/// Makes the file of `disk` from the template of its size. The file appears whole or not at all.
pub(super) fn instantiate(disk: &Disk) -> Result<(), RuntimeError> {
    let directory = disk.path.parent().unwrap_or(Path::new("/"));
    let template = template(directory, disk.bytes)?;
    let failed = || RuntimeError::io(format!("make the disk {}", disk.path.display()));
    let file = unnamed_file(directory).map_err(failed())?;
    copy_sparse(&template, &file).map_err(failed())?;
    link(file.as_fd(), &disk.path).map_err(failed())?;
    Ok(())
}

fn template(directory: &Path, bytes: u64) -> Result<File, RuntimeError> {
    let path = directory.join(format!(".template-{bytes}.ext4"));
    if let Some(file) = open_existing(&path)? {
        return Ok(file);
    }
    format(directory, bytes, &path)?;
    open_existing(&path)?
        .ok_or_else(|| RuntimeError::io("open the new template")(io::Error::from(io::ErrorKind::NotFound)))
}

/// Makes the template under no name, so that a crash leaves no half of one, and then names it.
fn format(directory: &Path, bytes: u64, path: &Path) -> Result<(), RuntimeError> {
    let failed = || RuntimeError::io(format!("make the disk template {}", path.display()));
    let file = unnamed_file(directory).map_err(failed())?;
    file.set_len(bytes).map_err(failed())?;
    run_formatter(file.as_fd(), bytes)?;
    // Mounting it once makes the overlay's directories, which the copies then have from the start.
    let mount = mount_ext4(file.as_fd())?;
    spare::lay_in(mount.as_fd());
    drop(mount);
    file.sync_all().map_err(failed())?;
    link(file.as_fd(), path).map_err(failed())?;
    Ok(())
}

/// The program that makes file systems, if the host has it.
pub(crate) fn formatter() -> Option<&'static str> {
    FORMATTERS.into_iter().find(|path| Path::new(path).exists())
}

fn run_formatter(file: BorrowedFd<'_>, bytes: u64) -> Result<(), RuntimeError> {
    let program = formatter().ok_or_else(|| {
        let why = "mkfs.ext4 is in none of the usual places; install e2fsprogs".to_owned();
        RuntimeError::Unsupported { what: "sandbox disks".into(), why }
    })?;
    let output = Command::new(program)
        .args(["-q", "-F", "-b", "4096", "-m", "0", "-O", "^resize_inode,sparse_super2", "-J"])
        .arg(format!("size={}", journal_mebibytes(bytes)))
        // What there is to copy lies in four pieces, and not in one for each group of blocks.
        .args(["-E", "packed_meta_blocks=1,num_backup_sb=1"])
        .args(["-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard,root_owner=0:0"])
        .arg(format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()))
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .map_err(RuntimeError::io(format!("run {program}")))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(RuntimeError::io(format!("format a disk with {program}"))(io::Error::other(text)))
}

/// Small for a small disk; on a large one it is worth some room, which is taken only as it is used.
fn journal_mebibytes(bytes: u64) -> u64 {
    (bytes >> 26).clamp(4, 64)
}

fn unnamed_file(directory: &Path) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::open(directory, flags, Mode::from_raw_mode(0o600))?))
}

/// Copies what is not a hole; shares the blocks where the file system can.
fn copy_sparse(from: &File, to: &File) -> io::Result<()> {
    if ioctl_ficlone(to, from).is_ok() {
        return Ok(());
    }
    let length = from.metadata()?.len();
    to.set_len(length)?;
    let mut at = 0;
    while let Some((start, end)) = next_data(from, at)? {
        copy_range(from, to, start, end)?;
        at = end;
    }
    Ok(())
}

fn next_data(file: &File, at: u64) -> io::Result<Option<(u64, u64)>> {
    match seek(file, SeekFrom::Data(at)) {
        Err(Errno::NXIO) => Ok(None),
        start => {
            let start = start?;
            Ok(Some((start, seek(file, SeekFrom::Hole(start))?)))
        }
    }
}

fn copy_range(from: &File, to: &File, start: u64, end: u64) -> io::Result<()> {
    let (mut source, mut target) = (start, start);
    while source < end {
        let length = usize::try_from(end - source).unwrap_or(usize::MAX);
        if copy_file_range(from, Some(&mut source), to, Some(&mut target), length)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileExt, MetadataExt};

    use super::*;

    #[test]
    fn a_sparse_copy_has_the_same_bytes_and_stays_sparse() {
        let directory = tempfile::tempdir().expect("a directory");
        let from = unnamed_file(directory.path()).expect("a file");
        from.set_len(8 << 20).expect("length");
        from.write_all_at(b"begin", 4096).expect("write");
        from.write_all_at(b"end", (8 << 20) - 3).expect("write");
        let to = unnamed_file(directory.path()).expect("a file");
        copy_sparse(&from, &to).expect("copy");
        let mut text = [0; 5];
        to.read_exact_at(&mut text, 4096).expect("read");
        assert_eq!(&text, b"begin");
        to.read_exact_at(&mut text[..3], (8 << 20) - 3).expect("read");
        assert_eq!(&text[..3], b"end");
        let meta = to.metadata().expect("metadata");
        assert_eq!(meta.len(), 8 << 20);
        assert!(meta.blocks() * 512 < 1 << 20, "the copy takes {} bytes", meta.blocks() * 512);
    }
}
