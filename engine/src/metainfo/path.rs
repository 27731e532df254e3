//! Which names a torrent may give to files: none that leads out of the download folder on any system.

use std::collections::BTreeSet;

use thiserror::Error;

use super::File;

/// Why a path is refused.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum PathError {
    /// A name with nothing in it.
    #[error("an empty name in the path {0:?}")]
    Empty(String),
    /// `.` or `..`
    #[error("{0:?} is no file name: it would leave the download folder")]
    Dots(String),
    /// A separator, or a control character.
    #[error("the file name {component:?} contains {character:?}")]
    Character {
        /// The name.
        component: String,
        /// What it must not contain.
        character: char,
    },
    /// A drive or a device on Windows.
    #[error("the file name {0:?} is a drive or device on Windows")]
    Reserved(String),
    /// Two files at one place.
    #[error("two files are called {0:?}")]
    Twice(String),
    /// A file lies where another file's folder has to be.
    #[error("{0:?} is both a file and a folder")]
    FileAndFolder(String),
}

/// Checks each name and that the paths go together. Padding is not stored, so it may clash.
pub fn check_all(files: &[File]) -> Result<(), PathError> {
    for file in files {
        file.path.iter().try_for_each(|component| check_component(component, &file.path))?;
    }
    let mut stored: BTreeSet<&[String]> = BTreeSet::new();
    for file in files.iter().filter(|file| !file.padding) {
        if !stored.insert(&file.path) {
            return Err(PathError::Twice(file.path.join("/")));
        }
    }
    // In this order a file stands before every path that begins with its own, with only such paths between them.
    for (shorter, longer) in stored.iter().zip(stored.iter().skip(1)) {
        if longer.starts_with(shorter) {
            return Err(PathError::FileAndFolder(shorter.join("/")));
        }
    }
    Ok(())
}

fn check_component(component: &str, path: &[String]) -> Result<(), PathError> {
    let owned = || component.to_owned();
    match component {
        "" => return Err(PathError::Empty(path.join("/"))),
        "." | ".." => return Err(PathError::Dots(owned())),
        _ => {}
    }
    if let Some(character) = component.chars().find(|&c| c.is_control() || c == '/' || c == '\\') {
        return Err(PathError::Character { component: owned(), character });
    }
    let drive = matches!(component.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic());
    if drive || is_device(component) {
        return Err(PathError::Reserved(owned()));
    }
    Ok(())
}

/// Whether Windows takes the name for a device, whatever its extension.
fn is_device(component: &str) -> bool {
    let stem = component.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    let numbered = |prefix| stem.strip_prefix(prefix).is_some_and(|n| matches!(n.as_bytes(), [b'1'..=b'9']));
    matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL") || numbered("COM") || numbered("LPT")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(paths: &[&[&str]]) -> Result<(), PathError> {
        let file = |path: &&[&str]| File {
            path: path.iter().map(|&component| component.to_owned()).collect(),
            offset: 0,
            len: 1,
            padding: false,
        };
        check_all(&paths.iter().map(file).collect::<Vec<_>>())
    }

    #[test]
    fn ordinary_names_pass() {
        for name in
            ["a", "...", ".hidden", "a b", "ä", "Title: part 1", "COM0", "COM10", "console", "nul_", "-"]
        {
            assert_eq!(check(&[&["top", name]]), Ok(()), "{name}");
        }
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        let character =
            |component: &str, character| PathError::Character { component: component.into(), character };
        for (name, error) in [
            ("", PathError::Empty("top/".into())),
            (".", PathError::Dots(".".into())),
            ("..", PathError::Dots("..".into())),
            ("/etc", character("/etc", '/')),
            ("a/../b", character("a/../b", '/')),
            ("..\\b", character("..\\b", '\\')),
            ("a\0", character("a\0", '\0')),
            ("\x1b[2J", character("\x1b[2J", '\x1b')),
            ("C:", PathError::Reserved("C:".into())),
            ("c:x", PathError::Reserved("c:x".into())),
            ("nul", PathError::Reserved("nul".into())),
            ("Aux.txt", PathError::Reserved("Aux.txt".into())),
            ("CON .x", PathError::Reserved("CON .x".into())),
            ("COM1", PathError::Reserved("COM1".into())),
            ("lpt9.tar.gz", PathError::Reserved("lpt9.tar.gz".into())),
        ] {
            assert_eq!(check(&[&["top", name]]), Err(error.clone()), "{name:?} as a file");
            if !name.is_empty() {
                assert_eq!(check(&[&["top", name, "file"]]), Err(error.clone()), "{name:?} as a folder");
                assert_eq!(check(&[&[name]]), Err(error), "{name:?} as the torrent's name");
            }
        }
    }

    #[test]
    fn paths_that_clash_are_refused() {
        assert_eq!(check(&[&["t", "a"], &["t", "b"], &["t", "a"]]), Err(PathError::Twice("t/a".into())));
        let clash = Err(PathError::FileAndFolder("t/a".into()));
        assert_eq!(check(&[&["t", "a"], &["t", "a", "b"]]), clash);
        assert_eq!(check(&[&["t", "a", "b", "c"], &["t", "a!"], &["t", "a"]]), clash);
        assert_eq!(check(&[&["t", "a"], &["t", "ab"], &["t", "a b", "a"]]), Ok(()));
    }
}
