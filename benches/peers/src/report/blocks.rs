//! The marked blocks of a document: what stands in them is generated, all else is written by hand.

/// The names of the blocks, in the order in which they stand.
pub fn names(document: &str) -> Vec<String> {
    let begins = document.lines().filter_map(|line| line.strip_prefix("<!-- begin: ")?.strip_suffix(" -->"));
    begins.map(str::to_owned).collect()
}

/// The document with another text in this block.
///
/// # Panics
/// If the block does not end.
pub fn replace(document: &str, name: &str, text: &str) -> String {
    let begin = format!("<!-- begin: {name} -->\n");
    let (before, rest) = document.split_once(&begin).expect("a block that was found");
    let end = format!("<!-- end: {name} -->");
    let (_, after) = rest.split_once(&end).unwrap_or_else(|| panic!("the block {name} does not end"));
    format!("{before}{begin}\n{}\n\n{end}{after}", text.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_replaced_and_nothing_else() {
        let document =
            "by hand\n<!-- begin: a -->\nold\n<!-- end: a -->\n<!-- begin: b -->\n<!-- end: b -->\nby hand\n";
        assert_eq!(names(document), ["a", "b"]);
        let replaced = replace(document, "a", "new\n");
        assert_eq!(
            replaced,
            "by hand\n<!-- begin: a -->\n\nnew\n\n<!-- end: a -->\n<!-- begin: b -->\n<!-- end: b -->\nby hand\n",
        );
        assert_eq!(replace(&replaced, "a", "new"), replaced);
    }
}
