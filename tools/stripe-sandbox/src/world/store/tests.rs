//! Whatever is stored, undone and packed: the store has what a plain map has.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::json::{Value, json};

const ACCOUNTS: [&str; 2] = ["", "acct_1"];
const KINDS: [&str; 4] = ["refund", "event", "billing.meter_event", "invoice"];

#[derive(Clone, Debug)]
enum Step {
    Store { account: usize, id: u8, waits: bool },
    Look { account: usize, id: u8 },
    Settle,
    RollBack,
}

fn any_step() -> impl Strategy<Value = Step> {
    let place = (0..2usize, 0..90u8);
    prop_oneof![
        6 => (place.clone(), prop::bool::weighted(0.1))
            .prop_map(|((account, id), waits)| Step::Store { account, id, waits }),
        3 => place.prop_map(|(account, id)| Step::Look { account, id }),
        3 => Just(Step::Settle),
        1 => Just(Step::RollBack),
    ]
}

fn name(id: u8) -> String {
    format!("id_{id:03}")
}

fn kind_of(id: u8) -> &'static str {
    KINDS[usize::from(id) % 4]
}

fn owner(id: u8) -> String {
    format!("cus_{}", id % 5)
}

/// The objects by account and id, with when each was created, and what was true when the change at work began.
#[derive(Clone, Default)]
struct Model {
    objects: BTreeMap<(usize, u8), (u32, Value)>,
    created: u32,
}

fn agree(store: &Store, model: &Model) {
    for (account, named) in ACCOUNTS.iter().enumerate() {
        for id in 0..90 {
            let expected = model.objects.get(&(account, id)).map(|(_, value)| value);
            assert_eq!(store.shared(named, &name(id)).as_deref(), expected);
            assert_eq!(store.find(named, &name(id)), expected);
        }
        for kind in KINDS {
            let mut newest: Vec<_> = model
                .objects
                .iter()
                .filter(|((of, id), _)| *of == account && kind_of(*id) == kind)
                .collect();
            newest.sort_by_key(|(_, (created, _))| std::cmp::Reverse(*created));
            let listed: Vec<Value> = store.each(named, kind).map(Arc::unwrap_or_clone).collect();
            assert_eq!(
                listed,
                newest.iter().map(|(_, (_, value))| value.clone()).collect::<Vec<_>>()
            );
        }
        for of in 0..5 {
            let listed: Vec<Value> = store
                .of(named, &owner(of), "invoice")
                .map(Arc::unwrap_or_clone)
                .collect();
            let mut own: Vec<Value> = store.each(named, "invoice").map(Arc::unwrap_or_clone).collect();
            own.retain(|one| one["customer"] == owner(of));
            assert_eq!(listed, own);
        }
        let ordered = store.between(named, "id_010", "id_050").cloned();
        let expected = model
            .objects
            .iter()
            .filter(|((of, id), _)| *of == account && (10..50).contains(id) && id % 4 == 2);
        assert_eq!(
            ordered.collect::<Vec<_>>(),
            expected.map(|(_, (_, value))| value.clone()).collect::<Vec<_>>()
        );
    }
    let refunds = model.objects.values().filter(|(_, value)| value["object"] == "refund");
    let first = refunds
        .filter_map(|(_, value)| value["_sandbox"]["due_at"].as_i64())
        .min();
    assert_eq!(store.next_due("", i64::MAX).map(|(at, _)| at), first);
    for number in store.numbers() {
        let (account, _, id) = store.named(number).unwrap();
        assert_eq!(store.number(account, id), Some(number));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: proptest::test_runner::RngSeed::Fixed(7), ..ProptestConfig::with_cases(200) })]

    #[test]
    fn it_has_what_a_plain_map_has(steps in prop::collection::vec(any_step(), 1..250)) {
        let mut store = Store::default();
        let (mut model, mut stands) = (Model::default(), Model::default());
        for (at, step) in steps.into_iter().enumerate() {
            match step {
                Step::Store { account, id, waits } => {
                    let mut value = json!({ "id": name(id), "object": kind_of(id), "at": at, "data": { "object": null }, "customer": owner(id) });
                    let about = json!({ "id": "other", "at": at, "_sandbox": 1 });
                    if waits {
                        value["_sandbox"] = json!({ "pending": ["we_1"], "due_at": at });
                    }
                    let stored = if kind_of(id) == "event" {
                        Stored::event(value, Arc::new(about))
                    } else {
                        Stored::new(Arc::new(value))
                    };
                    model.created += 1;
                    let created = model.objects.get(&(account, id)).map_or(model.created, |(created, _)| *created);
                    model.objects.insert((account, id), (created, Value::clone(&stored.whole())));
                    store.store(ACCOUNTS[account], &name(id), stored);
                }
                Step::Look { account, id } => {
                    let expected = model.objects.get(&(account, id)).map(|(_, value)| value);
                    prop_assert_eq!(store.find(ACCOUNTS[account], &name(id)), expected);
                }
                Step::Settle => {
                    store.settle();
                    store.take_packed(true);
                    stands = model.clone();
                }
                Step::RollBack => {
                    store.roll_back();
                    model = stands.clone();
                }
            }
        }
        agree(&store, &model);
        store.roll_back();
        agree(&store, &stands);
        store.settle();
        store.take_packed(true);
        agree(&store, &stands);
        let resting = stands.objects.values().filter(|(_, value)| value["_sandbox"]["pending"].is_null()).count();
        let packed = usize::try_from(store.packs.held()).unwrap();
        prop_assert!(packed <= resting && packed + AT_HAND + 6 * TOGETHER > resting, "{packed} of {resting}");
    }
}

#[test]
fn an_item_leads_to_its_subscription_unless_it_was_undone() {
    let with = |id: &str, items: &[&str]| {
        let items: Value = items.iter().map(|item| json!({ "id": item })).collect();
        Stored::new(Arc::new(
            json!({ "id": id, "object": "subscription", "items": { "data": items } }),
        ))
    };
    let mut store = Store::default();
    let holder = |store: &Store, item: &str| {
        let found = store.with_item("", item);
        found.map(|one| field::text(&one, "id").to_owned())
    };
    store.store("", "sub_1", with("sub_1", &["si_1"]));
    store.settle();
    store.store("", "sub_1", with("sub_1", &["si_1", "si_2"]));
    store.store("", "sub_2", with("sub_2", &["si_3"]));
    assert_eq!(holder(&store, "si_2").as_deref(), Some("sub_1"));
    assert_eq!(holder(&store, "si_3").as_deref(), Some("sub_2"));
    assert_eq!(store.with_item("acct_1", "si_1"), None);

    store.roll_back();
    // In the slot of what was undone.
    store.store("", "sub_3", with("sub_3", &["si_4"]));
    store.settle();
    let found = ["si_1", "si_2", "si_3", "si_4"].map(|item| holder(&store, item));
    assert_eq!(found, [Some("sub_1".to_owned()), None, None, Some("sub_3".to_owned())]);
}
