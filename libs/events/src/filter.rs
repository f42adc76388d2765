//! Which types of events are meant.

/// Whether `filter` lets events of `event_type` through. An entry is a type, or a beginning followed by `.*`; an empty
/// filter lets everything through.
pub(crate) fn admits<S: AsRef<str>>(filter: &[S], event_type: &str) -> bool {
    filter.is_empty()
        || filter.iter().any(|entry| match entry.as_ref().strip_suffix('*') {
            // The dot stays, so that `price.*` does not mean `prices.created`.
            Some(beginning) => event_type.starts_with(beginning),
            None => event_type == entry.as_ref(),
        })
}

/// Whether `filter` lets everything through that `other` does.
pub(crate) fn covers(filter: &[String], other: &[String]) -> bool {
    // `price.*` is admitted as if it were a type: by itself and by whatever begins `price.*`.
    filter.is_empty() || (!other.is_empty() && other.iter().all(|entry| admits(filter, entry)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_a_type_or_a_beginning_and_no_entry_is_everything() {
        let none: [&str; 0] = [];
        assert!(admits(&none, "invoice.paid"));
        assert!(admits(&["invoice.paid"], "invoice.paid"));
        assert!(!admits(&["invoice.paid"], "invoice.paid_late"));
        assert!(admits(&["price.*", "invoice.paid"], "price.created"));
        assert!(!admits(&["price.*"], "prices.created"));
        assert!(!admits(&["price.*"], "price"));
    }

    #[test]
    fn a_filter_covers_what_lets_no_more_through() {
        let filter = |entries: &[&str]| entries.iter().map(ToString::to_string).collect::<Vec<_>>();
        for (wider, narrower) in [
            (&[][..], &["a.a"][..]),
            (&["a.a", "b.b"], &["b.b"]),
            (&["a.*"], &["a.a", "a.b.*"]),
        ] {
            assert!(covers(&filter(wider), &filter(narrower)), "{wider:?} {narrower:?}");
            assert!(!covers(&filter(narrower), &filter(wider)), "{narrower:?} {wider:?}");
            assert!(covers(&filter(wider), &filter(wider)), "{wider:?}");
        }
    }
}
