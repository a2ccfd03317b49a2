//! The Like operator (Part 4 §7.7.3, Table 121): `%` any text, `_` any character, `[…]` one of some,
//! `[^…]` none of them, `\` takes the next character as it is.

/// Longest pattern and text, in characters: matching takes at most their product.
const CHARACTERS_MAX: usize = 4096;

#[derive(Debug)]
enum Part {
    Any,
    One,
    Exactly(char),
    Of { negated: bool, ranges: Vec<(char, char)> },
}

/// Whether a text is like a pattern; `None` for a pattern that is none.
pub fn is_like(text: &str, pattern: &str) -> Option<bool> {
    let parts = parse(pattern)?;
    let text: Vec<char> = text.chars().take(CHARACTERS_MAX + 1).collect();
    if text.len() > CHARACTERS_MAX {
        return None;
    }
    Some(matches(&text, &parts))
}

fn parse(pattern: &str) -> Option<Vec<Part>> {
    let mut characters = pattern.chars();
    let mut parts = Vec::new();
    while let Some(character) = characters.next() {
        parts.push(match character {
            '%' => Part::Any,
            '_' => Part::One,
            '\\' => Part::Exactly(characters.next()?),
            '[' => parse_set(&mut characters)?,
            other => Part::Exactly(other),
        });
    }
    (parts.len() <= CHARACTERS_MAX).then_some(parts)
}

fn parse_set(characters: &mut std::str::Chars<'_>) -> Option<Part> {
    let mut ranges = Vec::new();
    let mut next = characters.next()?;
    let negated = next == '^';
    if negated {
        next = characters.next()?;
    }
    while next != ']' {
        let from = if next == '\\' { characters.next()? } else { next };
        next = characters.next()?;
        if next != '-' {
            ranges.push((from, from));
            continue;
        }
        let to = characters.next()?;
        if to == ']' {
            ranges.extend([(from, from), ('-', '-')]);
            break;
        }
        ranges.push((from, to));
        next = characters.next()?;
    }
    Some(Part::Of { negated, ranges })
}

/// Matches with one point of return, so that it takes no more steps than text times pattern.
fn matches(text: &[char], parts: &[Part]) -> bool {
    let (mut at, mut part) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    loop {
        match parts.get(part) {
            Some(Part::Any) => {
                back = Some((at, part));
                part += 1;
                continue;
            }
            Some(one) if text.get(at).is_some_and(|character| fits(one, *character)) => {
                at += 1;
                part += 1;
                continue;
            }
            None if at == text.len() => return true,
            _ => {}
        }
        let Some((from, any)) = back.filter(|(from, _)| *from < text.len()) else {
            return false;
        };
        back = Some((from + 1, any));
        at = from + 1;
        part = any + 1;
    }
}

fn fits(part: &Part, character: char) -> bool {
    match part {
        Part::Any | Part::One => true,
        Part::Exactly(one) => *one == character,
        Part::Of { negated, ranges } => {
            ranges.iter().any(|(from, to)| (*from..=*to).contains(&character)) != *negated
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_the_standard_says() {
        for (text, pattern, wanted) in [
            ("main", "main%", true),
            ("Xmain", "main%", false),
            ("hen", "%en%", true),
            ("abcde", "a%c%e", true),
            ("abcd", "a%c%e", false),
            ("5 %", "5 \\%", true),
            ("5 x", "5 \\%", false),
            ("abc5", "abc[13-68]", true),
            ("abc2", "abc[13-68]", false),
            ("xyz4", "xyz[^3-6]", false),
            ("xyz2", "xyz[^3-6]", true),
            ("a]b", "a[\\]]b", true),
            ("a-", "a[x-]", true),
            ("bell", "b_ll", true),
            ("bll", "b_ll", false),
            ("", "%", true),
            ("", "", true),
            ("x", "", false),
            ("äöü", "_ö_", true),
        ] {
            assert_eq!(is_like(text, pattern), Some(wanted), "{text:?} like {pattern:?}");
        }
        for broken in ["[abc", "abc\\", "[a-", "[^"] {
            assert_eq!(is_like("abc", broken), None, "{broken:?}");
        }
    }

    #[test]
    fn a_hostile_pattern_takes_bounded_work() {
        let text = "a".repeat(4000);
        let pattern = "%a".repeat(2000) + "b";
        assert_eq!(is_like(&text, &pattern), Some(false));
        assert_eq!(is_like(&"a".repeat(5000), "%"), None);
    }
}
