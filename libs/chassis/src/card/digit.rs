//! Characters that are read as a digit, and those that people and programs put between digits.

/// The zero of each run of ten decimal digits outside ASCII. Source: Unicode 16.0, general category Nd.
#[rustfmt::skip]
const ZEROS: [u32; 75] = [
    0x660, 0x6F0, 0x7C0, 0x966, 0x9E6, 0xA66, 0xAE6, 0xB66, 0xBE6, 0xC66, 0xCE6, 0xD66, 0xDE6, 0xE50, 0xED0, 0xF20,
    0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80, 0x1A90, 0x1B50, 0x1BB0, 0x1C40, 0x1C50, 0xA620, 0xA8D0,
    0xA900, 0xA9D0, 0xA9F0, 0xAA50, 0xABF0, 0xFF10, 0x104A0, 0x10D30, 0x10D40, 0x11066, 0x110F0, 0x11136, 0x111D0,
    0x112F0, 0x11450, 0x114D0, 0x11650, 0x116C0, 0x116D0, 0x116DA, 0x11730, 0x118E0, 0x11950, 0x11BF0, 0x11C50,
    0x11D50, 0x11DA0, 0x11F50, 0x16130, 0x16A60, 0x16AC0, 0x16B50, 0x16D70, 0x1CCF0, 0x1D7CE, 0x1D7D8, 0x1D7E2,
    0x1D7EC, 0x1D7F6, 0x1E140, 0x1E2F0, 0x1E4F0, 0x1E5F1, 0x1E950, 0x1FBF0,
];

/// The value of a decimal digit of any script.
pub(super) fn value(character: char) -> Option<u8> {
    let code = u32::from(character);
    let zero = if character.is_ascii() {
        0x30
    } else {
        *ZEROS.get(ZEROS.partition_point(|zero| *zero <= code).checked_sub(1)?)?
    };
    u8::try_from(code.checked_sub(zero)?).ok().filter(|value| *value < 10)
}

/// Whether it is a space, a dash, or shows nothing at all.
pub(super) fn is_separator(character: char) -> bool {
    character.is_whitespace() || is_dash(character) || is_unseen(character)
}

/// Source: Unicode 16.0, property Dash, and what looks like one.
fn is_dash(character: char) -> bool {
    matches!(
        character,
        '-' | '\u{58A}' | '\u{5BE}' | '\u{1400}' | '\u{1806}' | '\u{2010}'
            ..='\u{2015}'
                | '\u{2043}'
                | '\u{2053}'
                | '\u{207B}'
                | '\u{208B}'
                | '\u{2212}'
                | '\u{2500}'
                | '\u{2501}'
                | '\u{2E17}'
                | '\u{2E1A}'
                | '\u{2E3A}'
                | '\u{2E3B}'
                | '\u{2E40}'
                | '\u{2E5D}'
                | '\u{301C}'
                | '\u{3030}'
                | '\u{30A0}'
                | '\u{30FC}'
                | '\u{FE31}'
                | '\u{FE32}'
                | '\u{FE58}'
                | '\u{FE63}'
                | '\u{FF0D}'
                | '\u{FF70}'
                | '\u{10D6E}'
                | '\u{10EAD}'
                | '\u{AF}'
                | '\u{2C9}'
                | '\u{2D7}'
    )
}

/// Source: Unicode 16.0, property Default_Ignorable_Code_Point; the blanks and the keycap that emoji put on digits.
fn is_unseen(character: char) -> bool {
    matches!(character,
        '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{180B}'..='\u{180F}'
        | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{20E3}' | '\u{2800}'
        | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}' | '\u{1BCA0}'..='\u{1BCA3}'
        | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}')
        || character.is_control()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_script_has_ten_digits_in_order() {
        assert!(ZEROS.is_sorted());
        for zero in ZEROS.into_iter().chain([0x30]) {
            for value_of in 0..10 {
                let digit = char::from_u32(zero + value_of).unwrap();
                assert!(digit.is_numeric(), "{digit:?}");
                assert_eq!(value(digit).map(u32::from), Some(value_of), "{digit:?}");
            }
        }
        for other in ['/', ':', 'a', '½', '²', '①', '一', '\u{1D800}', char::MAX] {
            assert_eq!(value(other), None, "{other:?}");
        }
    }

    #[test]
    fn nothing_is_both_a_digit_and_between_digits() {
        let characters = || (0..=0x10FFFF).filter_map(char::from_u32);
        assert!(characters().all(|character| value(character).is_none() || !is_separator(character)));
        assert!(!characters().filter(char::is_ascii_alphanumeric).any(is_separator));
        for other in ['_', '.', ',', '/', ':', '+', '"', '\'', '\\'] {
            assert!(!is_separator(other), "{other:?}");
        }
    }
}
