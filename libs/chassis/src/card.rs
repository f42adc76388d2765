//! Card numbers in texts, so that none reaches a log, a database or Stripe.
//!
//! A *group* is digits without anything between them, a *run* is groups with only spaces and dashes between them, of any
//! kind and number. What is tested is never a part of a group. It is
//! * a run as a whole, however it is cut into groups: `42 42-4242 4242 4242 42`;
//! * a group alone: `2026-11-26 4242424242424242`;
//! * neighbouring groups as cards print them, so that an expiry date behind the number hides nothing:
//!   `4242 4242 4242 4242 12/27`.
//!
//! It is a card number if it has 13 to 19 digits of which the last is right by Luhn, a scheme uses this beginning with
//! this length, and no ASCII letter or underscore touches its ends: digits in `pi_3Mxyz4242424242424242` or in a UUID are
//! part of a word. Letters of other scripts may touch, as not every language puts a space there.

mod digit;
mod scheme;

/// How cards print their numbers, in groups of digits. Four by four for 13, 16 and 19 digits, American Express, Diners.
const PRINTED: [&[usize]; 5] = [&[4, 4, 4, 4], &[4, 6, 5], &[4, 6, 4], &[4, 4, 4, 4, 3], &[4, 4, 4, 1]];

/// Whether a card number is in `text`. One pass; nothing is allocated for a text that has fewer than 13 digits.
#[must_use]
pub fn contains_card_number(text: &str) -> bool {
    if text
        .chars()
        .filter_map(digit::value)
        .nth(scheme::SHORTEST - 1)
        .is_none()
    {
        return false;
    }
    let mut run = Run::default();
    let mut before = None;
    for character in text.chars() {
        if let Some(digit) = digit::value(character) {
            run.push(digit, before);
        } else if !digit::is_separator(character) && run.end(Some(character), before) {
            return true;
        }
        before = Some(character);
    }
    run.end(None, before)
}

/// Digits with nothing but separators between them.
#[derive(Default)]
struct Run {
    groups: Vec<Vec<u8>>,
    /// Whether a word touches the first group.
    after_word: bool,
}

impl Run {
    /// Takes a digit that follows `before`.
    fn push(&mut self, digit: u8, before: Option<char>) {
        match self.groups.last_mut() {
            Some(group) if before.is_some_and(|before| digit::value(before).is_some()) => group.push(digit),
            Some(_) => self.groups.push(vec![digit]),
            None => {
                self.after_word = before.is_some_and(is_of_word);
                self.groups.push(vec![digit]);
            }
        }
    }

    /// Ends the run at `next`, which follows `before`, and says whether a card number was in it.
    fn end(&mut self, next: Option<char>, before: Option<char>) -> bool {
        let before_word = next.is_some_and(is_of_word) && before.is_some_and(|before| digit::value(before).is_some());
        let mut groups = std::mem::take(&mut self.groups);
        let whole = !self.after_word && !before_word && is_card_number(&groups);
        // A group that a word touches is the word's, and so is never part of a number in its neighbours.
        if before_word {
            groups.pop();
        }
        let free = groups.get(usize::from(self.after_word)..).unwrap_or_default();
        whole
            || free.iter().map(std::slice::from_ref).any(is_card_number)
            || PRINTED.iter().any(|shape| {
                let is_shaped = |window: &&[Vec<u8>]| window.iter().map(Vec::len).eq(shape.iter().copied());
                free.windows(shape.len()).filter(is_shaped).any(is_card_number)
            })
    }
}

fn is_of_word(character: char) -> bool {
    character.is_ascii_alphabetic() || character == '_'
}

fn is_card_number(groups: &[Vec<u8>]) -> bool {
    let length = groups.iter().map(Vec::len).sum();
    let digits = || groups.iter().flatten().copied().map(u32::from);
    let append = |number: u32, digit| number.saturating_mul(10).saturating_add(digit);
    (scheme::SHORTEST..=scheme::LONGEST).contains(&length)
        && scheme::uses(digits().take(6).fold(0, append), length)
        && passes_luhn(digits().rev())
}

/// Whether the first digit, the check digit, fits those after it. Source: ISO/IEC 7812-1, annex B.
fn passes_luhn(backwards: impl Iterator<Item = u32>) -> bool {
    let weighted = |(digit, doubled): (u32, bool)| match (doubled, digit) {
        (false, _) => digit,
        (true, 0..=4) => digit.saturating_mul(2),
        (true, _) => digit.saturating_mul(2).saturating_sub(9),
    };
    let sum: u32 = backwards.zip([false, true].into_iter().cycle()).map(weighted).sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::contains_card_number;

    #[test]
    fn a_card_number_is_found_however_it_is_written() {
        for text in [
            "4242424242424242",
            "4242 4242 4242 4242",
            "4242-4242-4242-4242",
            "4242\u{2013}4242\u{2014}4242\u{2212}4242",
            "4242\u{a0}4242\u{2009}4242\u{202f}4242",
            "42 42 - 42 42 - 42 42 - 42 42",
            "4\u{200b}2\u{200b}4\u{200b}2424242424242",
            "\u{ff14}\u{ff12}42424242424242",
            "٤٢٤٢٤٢٤٢٤٢٤٢٤٢٤٢",
            "4242\n4242\r\n4242\t4242",
            "card:4242424242424242",
            "\"4242424242424242\"",
            "x=4242424242424242",
            "{\"note\":\"4242424242424242\"}",
            "カード4242424242424242です",
            "4242 4242 4242 4242 12/27 123",
            "12345 - 4242424242424242",
            "2026-11-26 4242424242424242",
            "flat A1 4242 4242 4242 4242",
            "3782 822463 10005",
            "3056 930902 5904",
            "4242424242424241 4242424242424242",
        ] {
            assert!(contains_card_number(text), "{text}");
        }
    }

    #[test]
    fn other_numbers_and_parts_of_words_are_none() {
        for text in [
            "",
            "424242424242",
            "4242424242424241",
            "42424242424242424242",
            "142424242424242424242",
            "9999999999999995",
            "pi_3Mxyz4242424242424242",
            "cus_4242424242424242",
            "4242424242424242_x",
            "a4242424242424242",
            "4242424242424242a",
            "42424242-4242-4242-8242-424242424242",
            "4242.4242.4242.4242",
            "4242/4242/4242/4242",
            "1764180085000",
            "+49 30 901820 4242",
            "DE89 3704 0044 0532 0130 00",
        ] {
            assert!(!contains_card_number(text), "{text}");
        }
    }

    #[test]
    fn what_is_long_takes_one_pass() {
        assert!(!contains_card_number(&"1".repeat(1 << 20)));
        assert!(!contains_card_number(&"1 ".repeat(1 << 18)));
        assert!(contains_card_number(&format!(
            "{}x 4242424242424242",
            "1 ".repeat(1 << 18)
        )));
    }
}
