//! For tests: rows of the tables of docs/security.md, which the code holds.

use std::fs;

/// The row that begins with these cells; there is one.
pub(crate) fn row(cells: &str) -> String {
    // Nothing beside the crates is there when a program is built.
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/security.md");
    let page = fs::read_to_string(path).unwrap();
    let mut rows = page.lines().filter(|line| line.starts_with(&format!("| {cells} |")));
    let row = rows.next().unwrap_or_else(|| panic!("docs/security.md has no row `{cells}`"));
    row.to_owned()
}

/// Fails if the row that begins with these cells doesn't say this.
pub(crate) fn says(cells: &str, what: &str) {
    let row = row(cells);
    assert!(row.contains(what), "docs/security.md: {row} should say {what}");
}
