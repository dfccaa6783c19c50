//! Whether what arrived is what its name says.

use std::fmt::Write;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use sha1::{Digest, Sha1};
use tokio::task::yield_now;

use super::folder::{REPLACED, open_file};

/// Read at once; after each piece, an order may interrupt.
const PIECE: usize = 256 * 1024;

/// What `rsync` says of something that is neither a file nor a folder.
const NOT_COPIED: &[u8] = b"skipping non-regular file ";

/// Looks at what a pass brought, by the list that `rsync` wrote, one name a line. Returns how many files are missing for all that: those of the
/// filestore whose content is not what their name says, which are taken away, or what they replaced is put back; and what is no file.
pub(super) async fn check(path: &Path, names: &Path) -> io::Result<u64> {
    let mut missing = 0;
    let mut list = BufReader::new(File::open(names)?);
    let mut line = Vec::new();
    loop {
        line.clear();
        if list.read_until(b'\n', &mut line)? == 0 {
            return Ok(missing);
        }
        let said = line.trim_ascii_end();
        if said.starts_with(NOT_COPIED) {
            missing += 1;
        } else if let Some((name, hash)) = std::str::from_utf8(said).ok().and_then(|name| Some((name, hash_in(name)?)))
        {
            missing += u64::from(!settle(path, name, hash).await?);
        }
        yield_now().await;
    }
}

/// Whether the file is whole here in the end, or nobody's concern.
async fn settle(path: &Path, name: &str, hash: &str) -> io::Result<bool> {
    let (file, replaced) = (path.join(name), path.join(REPLACED).join(name));
    let arrived = open_file(&file);
    let is_gone = arrived.is_none();
    if let Some(arrived) = arrived
        && sha1(arrived).await.is_ok_and(|found| found == hash)
    {
        return Ok(true);
    }
    // What was here before it, if that was whole.
    if let Some(before) = open_file(&replaced)
        && sha1(before).await.is_ok_and(|found| found == hash)
    {
        std::fs::rename(&replaced, &file)?;
        return Ok(true);
    }
    if !is_gone {
        tracing::warn!(file = %file.display(), "a file of the filestore is not what its name says; it is taken away and fetched again");
        std::fs::remove_file(&file)?;
    }
    Ok(is_gone)
}

/// The hash in `filestore/<database>/<2 digits>/<40 digits>`, which Odoo names by the content; `None` for anything else.
fn hash_in(name: &str) -> Option<&str> {
    let (database, rest) = name.strip_prefix("filestore/")?.split_once('/')?;
    let (begin, hash) = rest.split_once('/')?;
    let is_hex = |c: u8| matches!(c, b'0'..=b'9' | b'a'..=b'f');
    let fits = database != ".." && begin.len() == 2 && hash.len() == 40 && hash.bytes().all(is_hex);
    (fits && hash.starts_with(begin)).then_some(hash)
}

async fn sha1(mut file: File) -> io::Result<String> {
    let mut hasher = Sha1::new();
    let mut piece = vec![0; PIECE];
    loop {
        let length = file.read(&mut piece)?;
        if length == 0 {
            break;
        }
        hasher.update(&piece[..length]);
        yield_now().await;
    }
    let mut text = String::with_capacity(40);
    for byte in hasher.finalize() {
        // Writing to a String cannot fail.
        _ = write!(text, "{byte:02x}");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_the_filestore_have_a_hash() {
        let hash = "a9993e364706816aba3e25717850c26c9cd0d89d";
        assert_eq!(hash_in(&format!("filestore/shop/a9/{hash}")), Some(hash));
        for name in [
            format!("filestore/shop/a8/{hash}"),
            format!("filestore/../a9/{hash}"),
            format!("sessions/shop/a9/{hash}"),
            format!("filestore/shop/x/a9/{hash}"),
            format!("filestore/shop/a9/{hash}0"),
            format!("filestore/shop/a9/{}", hash.to_uppercase()),
            "filestore/shop/checklist/a9".to_owned(),
            String::new(),
        ] {
            assert_eq!(hash_in(&name), None, "{name}");
        }
    }

    #[tokio::test]
    async fn what_is_not_what_its_name_says_is_taken_away() {
        let home = std::env::temp_dir().join(format!("odoo-ha-rsync-arrivals-{}", std::process::id()));
        let good = "filestore/shop/a9/a9993e364706816aba3e25717850c26c9cd0d89d";
        let bad = "filestore/shop/a9/a9993e364706816aba3e25717850c26c9cd0d89e";
        std::fs::create_dir_all(home.join("filestore/shop/a9")).expect("a folder");
        for name in [good, bad] {
            std::fs::write(home.join(name), "abc").expect("a file");
        }
        let list = format!(
            "filestore/\n{good}\n{bad}\nfilestore/shop/a9/a9993e364706816aba3e25717850c26c9cd0d80a\nskipping non-regular file \"filestore/x\"\nsessions/x\n"
        );
        std::fs::write(home.join("names"), list).expect("a file");
        assert_eq!(check(&home, &home.join("names")).await.expect("it can be read"), 2);
        assert!(home.join(good).exists() && !home.join(bad).exists());
        // A whole one that half a file has replaced comes back; so does one whose pass ended between the two renames.
        let replaced = home.join(REPLACED).join(good);
        std::fs::create_dir_all(replaced.parent().expect("it has one")).expect("a folder");
        for half in [true, false] {
            std::fs::rename(home.join(good), &replaced).expect("it is there");
            if half {
                std::fs::write(home.join(good), "ab").expect("a file");
            }
            assert_eq!(check(&home, &home.join("names")).await.expect("it can be read"), 1);
            assert_eq!(std::fs::read_to_string(home.join(good)).expect("it is there"), "abc");
        }
        std::fs::remove_dir_all(&home).expect("it is there");
    }
}
