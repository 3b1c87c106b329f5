//! Pages of the manual that the program could write itself: tests compare them, and write them when asked to by
//! `KEYRING_WRITE_MANUAL=1`.

use std::path::Path;

fn compare(page: &str, found: &str, expected: &str) {
    if found == expected {
        return;
    }
    if std::env::var_os("KEYRING_WRITE_MANUAL").is_some() {
        std::fs::write(path(page), expected).unwrap();
        return;
    }
    let line = found.lines().zip(expected.lines()).find(|(found, expected)| found != expected);
    panic!("{page} differs from the program; KEYRING_WRITE_MANUAL=1 writes it. The first difference: {line:#?}");
}

fn path(page: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(page)
}

/// Compares a whole page.
pub(crate) fn check_page(page: &str, expected: &str) {
    compare(page, &std::fs::read_to_string(path(page)).unwrap_or_default(), expected);
}

/// Compares what stands between the two marks of this name.
pub(crate) fn check_part(page: &str, name: &str, expected: &str) {
    let found = std::fs::read_to_string(path(page)).unwrap();
    let (begin, end) = (format!("<!-- {name}: begin, written by a test -->\n"), format!("<!-- {name}: end -->"));
    let (before, rest) = found.split_once(&begin).unwrap_or_else(|| panic!("{page} lacks the line {begin}"));
    let (_, after) = rest.split_once(&end).unwrap_or_else(|| panic!("{page} lacks the line {end}"));
    compare(page, &found, &format!("{before}{begin}{expected}{end}{after}"));
}
