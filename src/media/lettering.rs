//! Names as they can be drawn: anybody's text, cleaned of what would spoil a drawing, and the letters that stand for it.
//!
//! Pure. The fonts are the drawing's business.

use unicode_segmentation::UnicodeSegmentation;

/// Asks for the character before it to be drawn as text. A font of coloured pictures is of no use here: text becomes
/// outlines, and of such pictures only a blot remains.
const AS_TEXT: char = '\u{fe0e}';
/// Asks for the opposite.
const AS_PICTURE: char = '\u{fe0f}';
/// The most code points of what a reader takes for one character: the longest sequences of emoji have as many, and of a
/// tower of accents no more is of use.
const MOST_CODES: usize = 10;
/// As that, in a place for one character only.
const FEW_CODES: usize = 4;

/// Whether XML, and with it SVG, can hold this character.
pub(super) fn is_text(c: char) -> bool {
    let low = u32::from(c) & 0xffff;
    let noncharacter = low >= 0xfffe || (0xfdd0..=0xfdef).contains(&u32::from(c));
    !c.is_control() && !noncharacter
}

/// A name as it is drawn: on one line, with characters that a drawing can hold, emoji as outlines and without their tones.
pub(super) fn drawable(name: &str) -> String {
    let mut drawn = String::with_capacity(name.len());
    for character in name.graphemes(true) {
        for c in character.chars().filter(|c| is_text(*c)).take(MOST_CODES) {
            match c {
                // Line and paragraph separators are white space, too.
                c if c.is_whitespace() => drawn.push(' '),
                AS_TEXT | AS_PICTURE => {}
                '\u{1f3fb}'..='\u{1f3ff}' => {}
                c if is_picture(c) => drawn.extend([c, AS_TEXT]),
                c => drawn.push(c),
            }
        }
    }
    drawn
}

/// One or two letters for a name: of its first and its last word, and of each the first that is a letter, a digit or an
/// emoji.
pub(super) fn initials(name: &str) -> String {
    let mut words = name.split_whitespace().filter_map(|word| word.graphemes(true).find_map(initial));
    let first = words.next();
    let letters: String = first.into_iter().chain(words.next_back()).collect();
    if letters.is_empty() { "?".to_owned() } else { drawable(&letters) }
}

fn initial(character: &str) -> Option<String> {
    let first = character.chars().find(|c| is_text(*c))?;
    match first {
        // A flag is two letters.
        '\u{1f1e6}'..='\u{1f1ff}' => Some(character.chars().take(2).collect()),
        first if is_picture(first) => Some(first.to_string()),
        first if first.is_alphanumeric() => {
            Some(first.to_uppercase().chain(character.chars().skip(1).take(FEW_CODES - 1)).collect())
        }
        _ => None,
    }
}

/// Whether fonts of emoji have a picture of it.
fn is_picture(c: char) -> bool {
    matches!(c, '\u{231a}'..='\u{23ff}' | '\u{2600}'..='\u{27bf}' | '\u{2b00}'..='\u{2bff}' | '\u{1f000}'..='\u{1faff}')
}

/// The first `count` characters of a name, as a reader counts them, and an ellipsis.
pub(super) fn shortened(name: &str, count: usize) -> String {
    let kept: String = name.graphemes(true).take(count).collect();
    format!("{}…", kept.trim_end())
}

/// How many characters a reader counts.
pub(super) fn length(name: &str) -> usize {
    name.graphemes(true).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn initials_are_of_the_first_and_the_last_word() {
        for (name, letters) in [
            ("Ada Lovelace", "AL"),
            ("bob", "B"),
            ("Ann (x) de Vries", "AV"),
            ("—", "?"),
            ("", "?"),
            ("éa ß", "ÉSS"),
            ("e\u{301}a", "E\u{301}"),
            ("김민준", "김"),
            ("𠮷野 家", "𠮷家"),
            ("हिन्दी", "हि"),
            ("\u{fffe}\u{e000} x", "X"),
            ("🎉", "🎉\u{fe0e}"),
            ("👩\u{200d}🚀 Ann", "👩\u{fe0e}A"),
            ("👍🏽", "👍\u{fe0e}"),
            ("🇰🇷", "🇰\u{fe0e}🇷\u{fe0e}"),
        ] {
            assert_eq!(initials(name), letters, "{name}");
        }
    }

    #[test]
    fn what_no_drawing_can_hold_is_left_out() {
        assert_eq!(drawable("A\u{fffe}n\u{ffff}n\u{0}\u{1fffe}"), "Ann");
        assert_eq!(drawable("A\u{2028}n\u{2029}n\u{3000}"), "A n n ");
        assert_eq!(drawable("❤\u{fe0f} 👍🏽"), "❤\u{fe0e} 👍\u{fe0e}");
        let tower = format!("Z{}ann", "\u{300}".repeat(60));
        assert_eq!(drawable(&tower), format!("Z{}ann", "\u{300}".repeat(9)));
    }

    #[test]
    fn names_are_shortened_between_characters() {
        assert_eq!(shortened("Ann Lee", 4), "Ann…");
        assert_eq!(shortened("👩\u{200d}🚀 Ann", 1), "👩\u{200d}🚀…");
        assert_eq!(length("e\u{301}👩\u{200d}🚀"), 2);
    }

    proptest! {
        #[test]
        fn every_name_becomes_text_on_one_line(name in any::<String>()) {
            for text in [drawable(&name), initials(&name)] {
                prop_assert!(text.chars().all(|c| is_text(c) && (c == ' ' || !c.is_whitespace())), "{text:?}");
            }
            prop_assert!(length(&initials(&name)) <= 6);
        }
    }
}
