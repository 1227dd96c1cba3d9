//! Plots: what drawings by hand have in common, whatever they show.

mod axis;

pub use axis::{Axis, number};

/// A text with nothing in it that HTML or SVG would take for its own, in content and in attributes.
///
/// Control characters and those that turn the direction of text around are replaced: names come from
/// file names and from models, and must not be able to rearrange a report.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                out.push('\u{fffd}');
            }
            '\n' | '\t' => out.push(' '),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_markup_is_made_of_gets_through() {
        assert_eq!(escaped("<b a='1' c=\"2\">&"), "&lt;b a=&#39;1&#39; c=&quot;2&quot;&gt;&amp;");
        assert_eq!(escaped("a\u{202e}b\u{0}c\u{7f}d\ne"), "a\u{fffd}b\u{fffd}c\u{fffd}d e");
        assert_eq!(escaped("Größe 3 µm"), "Größe 3 µm");
    }
}
