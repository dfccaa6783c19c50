//! Whether what arrived is what its name says.

use std::fmt::Write;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use sha1::{Digest, Sha1};
use tokio::task::yield_now;

use super::beneath::Folder;
use super::folder::REPLACED;

/// Read at once; after each piece, an order may interrupt.
const PIECE: usize = 256 * 1024;

/// What `rsync` says of something that is neither a file nor a folder.
const NOT_COPIED: &[u8] = b"skipping non-regular file ";

/// Longest line of the list: a path (`PATH_MAX`), each byte of which may be written as `\#ooo`, and some words. `rsync` runs as Odoo's user,
/// who could write anything there.
const LONGEST_LINE: u64 = 5 * 4096 + 64;

/// Looks at what a pass brought, by the list that `rsync` wrote, one name a line. Returns how many files are missing for all that: those of the
/// filestore whose content is not what their name says, which are taken away, or what they replaced is put back; and what is no file.
///
/// # Errors
///
/// `NotADirectory` when a link is in the way: it is not followed, whoever put it there and when.
pub(super) async fn check(home: &Folder, names: &Path) -> io::Result<u64> {
    let mut missing = 0;
    let mut list = BufReader::new(File::open(names)?);
    let mut line = Vec::new();
    let mut is_whole = true;
    loop {
        line.clear();
        if list.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line)? == 0 {
            return Ok(missing);
        }
        let is_begin = std::mem::replace(&mut is_whole, line.ends_with(b"\n"));
        let said = if is_begin { line.trim_ascii_end() } else { &[] };
        if said.starts_with(NOT_COPIED) {
            missing += 1;
        } else if let Some((name, hash)) = std::str::from_utf8(said).ok().and_then(|name| Some((name, hash_in(name)?)))
        {
            missing += u64::from(!settle(home, name, hash).await?);
        }
        yield_now().await;
    }
}

/// Whether the file is whole here in the end, or nobody's concern. Looks and acts in the same folders: another one that was put in the place of one
/// of them meanwhile is not touched.
async fn settle(home: &Folder, name: &str, hash: &str) -> io::Result<bool> {
    let Some((parents, file)) = name.rsplit_once('/') else { return Ok(true) };
    let Some(folder) = home.below(parents)? else { return Ok(true) };
    let arrived = folder.file(file);
    let is_gone = arrived.is_none();
    if let Some(arrived) = arrived
        && sha1(arrived).await.is_ok_and(|found| found == hash)
    {
        return Ok(true);
    }
    // What was here before it, if that was whole.
    if let Some(replaced) = home.below(&format!("{REPLACED}/{parents}"))?
        && let Some(before) = replaced.file(file)
        && sha1(before).await.is_ok_and(|found| found == hash)
    {
        replaced.bring(file, &folder)?;
        return Ok(true);
    }
    if !is_gone {
        tracing::warn!(
            file = name,
            "a file of the filestore is not what its name says; it is taken away and fetched again"
        );
        folder.remove(file)?;
    }
    Ok(is_gone)
}

/// The hash in `filestore/<database>/<2 digits>/<40 digits>`, which Odoo names by the content; `None` for anything else.
fn hash_in(name: &str) -> Option<&str> {
    let (database, rest) = name.strip_prefix("filestore/")?.split_once('/')?;
    let (begin, hash) = rest.split_once('/')?;
    let is_hex = |c: u8| matches!(c, b'0'..=b'9' | b'a'..=b'f');
    let is_name = !matches!(database, "" | "." | "..");
    let fits = is_name && begin.len() == 2 && hash.len() == 40 && hash.bytes().all(is_hex);
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
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    use super::*;

    const ABC: &str = "a9993e364706816aba3e25717850c26c9cd0d89d";

    /// A `data_dir` in a folder of its own.
    fn home(name: &str) -> (PathBuf, PathBuf) {
        let all = std::env::temp_dir().join(format!("odoo-ha-rsync-{name}-{}", std::process::id()));
        std::fs::create_dir_all(all.join("data")).expect("a folder");
        (all.clone(), all.join("data"))
    }

    fn opened(home: &Path) -> Folder {
        Folder::open(home).expect("it is there")
    }

    #[test]
    fn only_names_of_the_filestore_have_a_hash() {
        let hash = "a9993e364706816aba3e25717850c26c9cd0d89d";
        assert_eq!(hash_in(&format!("filestore/shop/a9/{hash}")), Some(hash));
        for name in [
            format!("filestore/shop/a8/{hash}"),
            format!("filestore/../a9/{hash}"),
            format!("filestore/./a9/{hash}"),
            format!("filestore//a9/{hash}"),
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
        let (all, home) = home("arrivals");
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
        assert_eq!(check(&opened(&home), &home.join("names")).await.expect("it can be read"), 2);
        assert!(home.join(good).exists() && !home.join(bad).exists());
        // A whole one that half a file has replaced comes back; so does one whose pass ended between the two renames.
        let replaced = home.join(REPLACED).join(good);
        std::fs::create_dir_all(replaced.parent().expect("it has one")).expect("a folder");
        for half in [true, false] {
            std::fs::rename(home.join(good), &replaced).expect("it is there");
            if half {
                std::fs::write(home.join(good), "ab").expect("a file");
            }
            assert_eq!(check(&opened(&home), &home.join("names")).await.expect("it can be read"), 1);
            assert_eq!(std::fs::read_to_string(home.join(good)).expect("it is there"), "abc");
        }
        std::fs::remove_dir_all(&all).expect("it is there");
    }

    /// Somebody else's file is neither removed nor replaced, nor brought here, at whichever level the link is.
    #[tokio::test]
    async fn no_link_is_followed_at_any_level() {
        let (all, home) = home("links");
        let (file, names) = (format!("filestore/shop/a9/{ABC}"), home.join("names"));
        std::fs::write(&names, format!("{file}\n")).expect("a file");
        let kept = format!("{REPLACED}/{file}");
        for (path, ours, theirs) in [(&file, "ab", "their own"), (&kept, "abc", "abc")] {
            let levels: Vec<&str> = path.match_indices('/').map(|(end, _)| &path[..end]).collect();
            for level in levels {
                // What is there, as it should be, and then one folder of it is a link to a copy outside.
                for (root, content) in [(home.join(path), ours), (all.join("theirs").join(path), theirs)] {
                    std::fs::create_dir_all(root.parent().expect("it has one")).expect("a folder");
                    std::fs::write(root, content).expect("a file");
                }
                std::fs::create_dir_all(home.join("filestore/shop/a9")).expect("a folder");
                std::fs::remove_dir_all(home.join(level)).expect("it is there");
                symlink(all.join("theirs").join(level), home.join(level)).expect("a link");
                let refused = check(&opened(&home), &names).await.expect_err(level);
                assert_eq!(refused.kind(), io::ErrorKind::NotADirectory, "{level}: {refused}");
                let left = std::fs::read_to_string(all.join("theirs").join(path));
                assert_eq!(left.expect("it is not ours to take"), theirs, "{level}");
                std::fs::remove_file(home.join(level)).expect("it is there");
                std::fs::remove_dir_all(home.join("filestore")).or_else(gone).expect("it is ours");
            }
        }
        // The file itself.
        std::fs::create_dir_all(home.join("filestore/shop/a9")).expect("a folder");
        std::fs::write(all.join("theirs/file"), "their own").expect("a file");
        symlink(all.join("theirs/file"), home.join(&file)).expect("a link");
        assert_eq!(check(&opened(&home), &names).await.expect("nothing is in the way"), 0);
        assert_eq!(std::fs::read_to_string(all.join("theirs/file")).expect("it is there"), "their own");
        std::fs::remove_dir_all(&all).expect("it is there");
    }

    fn gone(error: io::Error) -> io::Result<()> {
        if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
    }

    /// While the file is read, its folder is put away and a link to somebody else's takes its place.
    #[tokio::test]
    async fn a_link_that_comes_while_a_file_is_looked_at_leads_nowhere() {
        for has_replaced in [false, true] {
            let (all, home) = home("swapped");
            let (name, theirs) = (format!("filestore/shop/a9/{ABC}"), all.join("theirs"));
            std::fs::create_dir_all(home.join("filestore/shop/a9")).expect("a folder");
            // Two pieces: in between, others have their turn.
            std::fs::write(home.join(&name), vec![b'x'; PIECE + 1]).expect("a file");
            std::fs::create_dir_all(&theirs).expect("a folder");
            std::fs::write(theirs.join(ABC), "their own").expect("a file");
            if has_replaced {
                let replaced = home.join(REPLACED).join(&name);
                std::fs::create_dir_all(replaced.parent().expect("it has one")).expect("a folder");
                std::fs::write(replaced, "abc").expect("a file");
            }
            let folder = opened(&home);
            let (real, put_away) = (home.join("filestore/shop/a9"), home.join("away"));
            let swap = async {
                std::fs::rename(&real, &put_away).expect("it is there");
                symlink(&theirs, &real).expect("a link");
            };
            let (settled, ()) = tokio::join!(biased; settle(&folder, &name, ABC), swap);
            assert_eq!(settled.expect("it is done where it was begun"), has_replaced);
            let left = std::fs::read_to_string(theirs.join(ABC));
            assert_eq!(left.expect("it is not ours to take"), "their own");
            let ours = std::fs::read_to_string(put_away.join(ABC)).ok();
            assert_eq!(ours.as_deref(), has_replaced.then_some("abc"));
            std::fs::remove_dir_all(&all).expect("it is there");
        }
    }

    #[tokio::test]
    async fn a_line_without_an_end_is_not_kept() {
        let (all, home) = home("lines");
        let bad = format!("filestore/shop/a9/{ABC}");
        std::fs::create_dir_all(home.join("filestore/shop/a9")).expect("a folder");
        std::fs::write(home.join(&bad), "ab").expect("a file");
        // The end of a line that is too long is no line of its own.
        let longest = usize::try_from(LONGEST_LINE).expect("a number");
        let endless = "x".repeat(longest);
        std::fs::write(home.join("names"), format!("{endless}{bad}\n")).expect("a file");
        assert_eq!(check(&opened(&home), &home.join("names")).await.expect("it can be read"), 0);
        assert!(home.join(&bad).exists());
        std::fs::write(home.join("names"), format!("{endless}y\n{bad}\n")).expect("a file");
        assert_eq!(check(&opened(&home), &home.join("names")).await.expect("it can be read"), 1);
        std::fs::remove_dir_all(&all).expect("it is there");
    }
}
