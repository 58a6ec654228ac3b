//! For tests: rows of the tables of docs/security.md that the code must match.

use std::fs;

/// The only row that begins with these cells.
pub(crate) fn row(cells: &str) -> String {
    // Only tests read files outside of the crates.
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/security.md");
    let page = fs::read_to_string(path).unwrap();
    let mut rows = page.lines().filter(|line| line.starts_with(&format!("| {cells} |")));
    let row = rows.next().unwrap_or_else(|| panic!("docs/security.md has no row `{cells}`"));
    row.to_owned()
}

/// Fails unless the row that begins with these cells contains this text.
pub(crate) fn row_contains(cells: &str, text: &str) {
    let row = row(cells);
    assert!(row.contains(text), "docs/security.md: {row} should say {text}");
}
