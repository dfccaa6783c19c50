//! A file that behaves like `/dev/watchdog`, with what sysfs says of it: a FIFO that somebody reads.

use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use odoo_ha_core::time::Moment;
use rustix::fs::{CWD, Mode, OFlags, mkfifoat};
use tempfile::TempDir;

/// Between two looks at the FIFO: what the device's time is late by at most, on an idle machine.
const STEP: Duration = Duration::from_millis(1);

/// What a device has seen.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// It counts.
    pub runs: bool,
    /// When it was fed last.
    pub fed: Option<Moment>,
    /// When it reset the machine.
    pub reset: Option<Moment>,
    /// How often it was fed.
    pub feeds: u64,
    /// How often it was stopped by the magic close.
    pub stops: u64,
}

/// A made-up device in a folder of its own. Its machine is not reset; that it would have been is kept.
#[derive(Debug)]
pub struct FakeWatchdog {
    folder: TempDir,
    seen: Arc<Mutex<Seen>>,
    over: Arc<AtomicBool>,
    broken: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
}

impl FakeWatchdog {
    /// A device that is stopped, with this timeout in seconds.
    ///
    /// # Panics
    ///
    /// When the folder or the FIFO cannot be made.
    pub fn new(timeout_s: u64, now: fn() -> Moment) -> Self {
        let folder = tempfile::tempdir().unwrap();
        make_fifo(&folder.path().join("watchdog"));
        let fake = Self { folder, seen: Arc::default(), over: Arc::default(), broken: Arc::default(), reader: None };
        fs::create_dir(fake.sysfs_dir()).unwrap();
        for (name, text) in [("nowayout", "0"), ("options", "0x8180"), ("state", "inactive")] {
            fake.says(name, text);
        }
        fake.says("timeout", &timeout_s.to_string());
        // What util-linux's program does, as far as it is asked for here; at once, as the kernel does it.
        let script = format!(
            "#!/bin/sh\n[ \"$1\" = --settimeout ] && [ \"$3\" = {} ] || exit 1\necho \"$2\" >{}/new.$$ && mv {}/new.$$ {}/timeout\n",
            fake.device().display(),
            fake.sysfs_dir().display(),
            fake.sysfs_dir().display(),
            fake.sysfs_dir().display()
        );
        fs::write(fake.wdctl(), script).unwrap();
        fs::set_permissions(fake.wdctl(), PermissionsExt::from_mode(0o755)).unwrap();
        fake.started(now)
    }

    fn started(mut self, now: fn() -> Moment) -> Self {
        let fifo = open(&self.device());
        let (seen, over, broken, sysfs) =
            (Arc::clone(&self.seen), Arc::clone(&self.over), Arc::clone(&self.broken), self.sysfs_dir());
        self.reader = Some(thread::spawn(move || count(fifo, &seen, (&over, &broken), &sysfs, now)));
        self
    }

    /// The device.
    pub fn device(&self) -> PathBuf {
        self.folder.path().join("watchdog")
    }

    /// What sysfs says of it.
    pub fn sysfs_dir(&self) -> PathBuf {
        self.folder.path().join("sysfs")
    }

    /// A program that sets its timeout.
    pub fn wdctl(&self) -> PathBuf {
        self.folder.path().join("wdctl")
    }

    /// Makes sysfs say this.
    ///
    /// # Panics
    ///
    /// When it cannot be written.
    pub fn says(&self, name: &str, text: &str) {
        fs::write(self.sysfs_dir().join(name), format!("{text}\n")).unwrap();
    }

    /// What it has seen.
    ///
    /// # Panics
    ///
    /// When its thread has panicked.
    pub fn seen(&self) -> Seen {
        self.seen.lock().unwrap().clone()
    }

    /// It takes no feed any more, until it is opened anew.
    ///
    /// # Panics
    ///
    /// When its thread has ended.
    pub fn break_it(&self) {
        self.broken.store(true, Ordering::SeqCst);
        while self.broken.load(Ordering::SeqCst) {
            assert!(self.reader.as_ref().is_some_and(|reader| !reader.is_finished()));
            thread::sleep(STEP);
        }
    }
}

impl Drop for FakeWatchdog {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        if let Some(reader) = self.reader.take() {
            _ = reader.join();
        }
    }
}

fn make_fifo(path: &Path) {
    mkfifoat(CWD, path, Mode::RUSR | Mode::WUSR).unwrap();
}

/// Does not wait for a writer, and never for a byte.
fn open(path: &Path) -> File {
    OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path).unwrap()
}

fn timeout(sysfs: &Path) -> Duration {
    let text = fs::read_to_string(sysfs.join("timeout")).unwrap_or_default();
    Duration::from_secs(text.trim().parse().unwrap_or(60))
}

/// Counts as a device does, until it is over.
fn count(
    mut fifo: File,
    seen: &Mutex<Seen>,
    (over, broken): (&AtomicBool, &AtomicBool),
    sysfs: &Path,
    now: fn() -> Moment,
) {
    let mut magic = false;
    let mut is_open = false;
    while !over.load(Ordering::SeqCst) {
        if broken.load(Ordering::SeqCst) {
            // Whoever has the old one open writes to nobody, which fails; who opens anew finds the new one.
            let path = sysfs.with_file_name("watchdog");
            fs::remove_file(&path).unwrap();
            make_fifo(&path);
            fifo = open(&path);
            broken.store(false, Ordering::SeqCst);
        }
        let mut bytes = [0; 256];
        let read = fifo.read(&mut bytes);
        let at = now();
        let mut seen = seen.lock().unwrap();
        match read {
            Ok(0) if is_open => {
                is_open = false;
                if std::mem::take(&mut magic) && seen.runs {
                    seen.runs = false;
                    seen.stops += 1;
                    _ = fs::write(sysfs.join("state"), "inactive\n");
                }
            }
            Ok(length) if length > 0 => {
                is_open = true;
                if !seen.runs {
                    _ = fs::write(sysfs.join("state"), "active\n");
                }
                seen.runs = true;
                // The order counts: a feed after the magic takes it back.
                magic = bytes[length - 1] == b'V';
                if bytes[..length].iter().any(|byte| *byte != b'V') {
                    seen.fed = Some(at);
                    seen.feeds += 1;
                }
            }
            Ok(_) | Err(_) => {}
        }
        let late = seen.fed.is_some_and(|fed| at >= fed + timeout(sysfs));
        if seen.runs && late && seen.reset.is_none() {
            seen.reset = Some(at);
        }
        drop(seen);
        thread::sleep(STEP);
    }
}
