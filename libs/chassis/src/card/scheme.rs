//! How the numbers of each card scheme begin, and how long they are.

/// Digits of the shortest number in [`SCHEMES`]. Maestro's of 12 are left out.
pub(super) const SHORTEST: usize = 13;
/// Digits of the longest number that ISO/IEC 7812-1 allows.
pub(super) const LONGEST: usize = 19;

/// Numbers whose first six digits are between these two, and have as many digits as one of `lengths`.
struct Range {
    first: u32,
    last: u32,
    lengths: &'static [usize],
}

const fn range(first: u32, last: u32, lengths: &'static [usize]) -> Range {
    Range { first, last, lengths }
}

const TO_19: &[usize] = &[16, 17, 18, 19];

/// Sources: <https://en.wikipedia.org/wiki/Payment_card_number> (Issuer identification number); the schemes known everywhere
/// and Elo, Hipercard, Mir and Verve compared with `src/lib/card-types.ts` of <https://github.com/braintree/credit-card-type>,
/// of whose ranges only Maestro's widest and UnionPay's numbers of 14 and 15 digits are missing: too much else looks like them.
/// BORICA, Humo, Napas, RuPay, Troy and Uzcard stand in the first alone. Left out: UATP (1, 15 digits), which times and
/// counters look like; schemes that ended. A card that carries two marks has a number of the international one (Cartes
/// Bancaires, Mada, eftpos).
#[rustfmt::skip]
const SCHEMES: [(&str, &[Range]); 21] = [
    ("American Express", &[range(340_000, 349_999, &[15]), range(370_000, 379_999, &[15])]),
    ("BORICA", &[range(220_500, 220_599, &[16])]),
    ("Dankort", &[range(501_900, 501_999, &[16])]),
    ("Diners Club", &[
        range(300_000, 305_999, &[14, 16, 17, 18, 19]), range(309_500, 309_599, &[14, 16, 17, 18, 19]),
        range(360_000, 369_999, &[14, 15, 16, 17, 18, 19]), range(380_000, 399_999, &[14, 16, 17, 18, 19]),
    ]),
    ("Discover", &[
        range(601_100, 601_199, TO_19), range(622_126, 622_925, TO_19), range(644_000, 659_999, TO_19),
    ]),
    ("Elo", &[
        range(401_178, 401_179, &[16]), range(431_274, 431_274, &[16]), range(438_935, 438_935, &[16]),
        range(451_416, 451_416, &[16]), range(457_393, 457_393, &[16]), range(457_631, 457_632, &[16]),
        range(504_175, 504_175, &[16]), range(506_699, 506_778, &[16]), range(509_000, 509_999, &[16]),
        range(627_780, 627_780, &[16]), range(636_297, 636_297, &[16]), range(636_368, 636_368, &[16]),
    ]),
    ("Hipercard", &[range(606_282, 606_282, &[16]), range(637_095, 637_095, &[16])]),
    ("Humo", &[range(986_000, 986_099, &[16])]),
    ("InstaPayment", &[range(637_000, 639_999, &[16])]),
    ("InterPayment", &[range(636_000, 636_999, TO_19)]),
    ("JCB", &[range(352_800, 358_999, TO_19)]),
    ("Maestro", &[
        range(501_800, 501_899, MAESTRO), range(502_000, 502_099, MAESTRO), range(503_800, 503_899, MAESTRO),
        range(589_300, 589_399, MAESTRO), range(630_400, 630_499, MAESTRO), range(675_900, 675_999, MAESTRO),
        range(676_100, 676_399, MAESTRO), range(676_770, 676_770, MAESTRO), range(676_774, 676_774, MAESTRO),
    ]),
    ("Mastercard", &[range(510_000, 559_999, &[16]), range(222_100, 272_099, &[16])]),
    ("Mir", &[range(220_000, 220_499, TO_19)]),
    ("Napas", &[range(970_400, 970_499, &[16, 19])]),
    ("RuPay", &[
        range(508_000, 508_999, &[16]), range(600_000, 609_999, &[16]), range(650_000, 659_999, &[16]),
        range(810_000, 829_999, &[16]), range(353_000, 353_999, &[16]), range(356_000, 356_999, &[16]),
    ]),
    ("Troy", &[range(650_000, 659_999, &[16]), range(979_200, 979_299, &[16])]),
    ("UnionPay", &[range(620_000, 629_999, TO_19), range(810_000, 817_199, TO_19)]),
    ("Uzcard", &[range(561_400, 561_499, &[16]), range(860_000, 860_099, &[16])]),
    ("Verve", &[
        range(506_099, 506_198, &[16, 18, 19]), range(507_865, 507_964, &[16, 18, 19]),
        range(650_002, 650_027, &[16, 18, 19]),
    ]),
    ("Visa", &[range(400_000, 499_999, &[13, 16, 19])]),
];

const MAESTRO: &[usize] = &[13, 14, 15, 16, 17, 18, 19];

/// Whether a scheme has numbers that begin with the six digits of `prefix` and are `length` digits long.
pub(super) fn uses(prefix: u32, length: usize) -> bool {
    let mut ranges = SCHEMES.iter().flat_map(|(_, ranges)| ranges.iter());
    ranges.any(|range| (range.first..=range.last).contains(&prefix) && range.lengths.contains(&length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_range_is_six_digits_in_order_and_of_lengths_that_are_looked_for() {
        for (scheme, ranges) in SCHEMES {
            for range in ranges {
                assert!((100_000..=999_999).contains(&range.first), "{scheme}");
                assert!((range.first..=999_999).contains(&range.last), "{scheme}");
                assert!(
                    range.lengths.iter().all(|length| (SHORTEST..=LONGEST).contains(length)),
                    "{scheme}"
                );
            }
        }
    }

    #[test]
    fn a_beginning_counts_only_with_its_length() {
        for (prefix, length, used) in [
            (424_242, 13, true),
            (424_242, 14, false),
            (424_242, 16, true),
            (222_099, 16, false),
            (222_100, 16, true),
            (272_099, 16, true),
            (272_100, 16, false),
            (555_555, 16, true),
            (555_555, 15, false),
            (378_282, 15, true),
            (378_282, 16, false),
            (305_693, 14, true),
            (601_111, 16, true),
            (356_600, 19, true),
            (620_000, 17, true),
            (176_418, 13, false),
            (999_999, 16, false),
        ] {
            assert_eq!(uses(prefix, length), used, "{prefix} {length}");
        }
    }
}
