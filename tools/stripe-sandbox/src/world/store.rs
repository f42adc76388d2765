//! Where the objects are kept: found by their ids, listed by kind in order of creation, and known for when they are due.
//!
//! An object has a slot for as long as the world lasts. Those used last are at hand; the
//! others are packed (see [`packs`](super::packs)), and unpacked when they are asked for.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    hash::BuildHasher,
    sync::Arc,
};

use elsa::FrozenMap;
use hashbrown::{DefaultHashBuilder, HashTable};

use super::{
    links::Links,
    packs::{Packs, Parcel, Place},
    stored::Stored,
};
use crate::{
    billing::{self, test_clock},
    field,
    json::Value,
};

/// How many objects used last are not packed. Few in unit tests, so that all of them unpack.
const AT_HAND: usize = if cfg!(test) { 20 } else { 200 };
/// How many objects of a kind are packed together.
const TOGETHER: usize = if cfg!(test) { 4 } else { 32 };
/// Kinds whose ids say their order, so that a range of them can be asked for.
const ORDERED: &[&str] = &["billing.meter_event"];

/// The number of an object, in order of creation.
pub(super) type SlotNumber = u32;

#[derive(Debug)]
struct Slot {
    id: Box<str>,
    kind: u32,
    /// Each version that is stored has a number of its own.
    version: u32,
    /// When it has something to do.
    due: Option<Due>,
    content: Content,
}

/// In which queue something is to be done, by its number, and when.
type Due = (u32, i64);

/// How the present version of an object is kept.
#[derive(Clone, Debug)]
enum Content {
    AtHand(Stored),
    Packed(Place),
    /// As it is packed, and read not long ago.
    Read(Arc<Value>, Place),
}

impl Content {
    /// Where it is packed.
    fn place(&self) -> Option<Place> {
        match self {
            Self::AtHand(_) => None,
            Self::Packed(place) | Self::Read(_, place) => Some(*place),
        }
    }
}

/// All objects of one kind in one account.
#[derive(Debug)]
struct Kind {
    account: u32,
    name: String,
    slots: Vec<SlotNumber>,
}

/// What a slot was before the change at work: its version, when it was due, and how it was kept.
type Before = (u32, Option<Due>, Content);

/// See the module.
#[derive(Default)]
pub(super) struct Store {
    slots: Vec<Slot>,
    accounts: Vec<String>,
    account_numbers: HashMap<String, u32>,
    kinds: Vec<Kind>,
    kind_numbers: HashMap<u32, HashMap<String, u32>>,
    /// Slots by account and id.
    index: HashTable<SlotNumber>,
    hasher: DefaultHashBuilder,
    ordered: BTreeMap<(u32, Box<str>), SlotNumber>,
    links: Links,
    /// The numbers of the queues, by their names.
    queues: HashMap<String, u32>,
    due: BTreeSet<(Due, SlotNumber)>,
    versions: u32,
    /// The slots that the change at work has touched, in order of first touch, and what they were if they were there.
    touched: Vec<(SlotNumber, Option<Before>)>,
    /// Slots and their versions, those used last at the end.
    recent: VecDeque<(SlotNumber, u32)>,
    /// By kind: what is to be packed with the next of the kind.
    parcels: HashMap<u32, Vec<Parcel>>,
    packs: Packs,
    /// What has been unpacked to be looked at.
    unpacked: FrozenMap<SlotNumber, Arc<Value>>,
}

/// What a change that was set aside had touched.
pub(super) struct Aside(Vec<(SlotNumber, Option<Before>)>);

/// An object that the change at work has touched.
pub(super) struct Touched<'a> {
    pub(super) slot: SlotNumber,
    pub(super) is_new: bool,
    pub(super) stored: &'a Stored,
}

impl Store {
    fn slot(&self, number: SlotNumber) -> Option<&Slot> {
        self.slots.get(usize::try_from(number).ok()?)
    }

    fn slot_mut(&mut self, number: SlotNumber) -> Option<&mut Slot> {
        self.slots.get_mut(usize::try_from(number).ok()?)
    }

    fn kind(&self, number: u32) -> Option<&Kind> {
        self.kinds.get(usize::try_from(number).ok()?)
    }

    fn account_of(&self, slot: &Slot) -> Option<u32> {
        self.kind(slot.kind).map(|kind| kind.account)
    }

    /// The slot of `id` in an account's data set.
    pub(super) fn number(&self, account: &str, id: &str) -> Option<SlotNumber> {
        let account = *self.account_numbers.get(account)?;
        self.numbered(account, id)
    }

    fn numbered(&self, account: u32, id: &str) -> Option<SlotNumber> {
        let is_it = |number: &SlotNumber| {
            self.slot(*number)
                .is_some_and(|slot| *slot.id == *id && self.account_of(slot) == Some(account))
        };
        self.index.find(self.hasher.hash_one((account, id)), is_it).copied()
    }

    /// Whose object a slot is of, of what kind, and its id.
    pub(super) fn named(&self, number: SlotNumber) -> Option<(&str, &str, &str)> {
        let slot = self.slot(number)?;
        let kind = self.kind(slot.kind)?;
        let account = self.accounts.get(usize::try_from(kind.account).ok()?)?;
        Some((account, &kind.name, &slot.id))
    }

    /// The object, to be looked at.
    pub(super) fn find(&self, account: &str, id: &str) -> Option<&Value> {
        self.look(self.number(account, id)?)
    }

    fn look(&self, number: SlotNumber) -> Option<&Value> {
        let at_hand = match &self.slot(number)?.content {
            Content::AtHand(stored) => stored.plain(),
            Content::Read(value, _) => Some(value),
            Content::Packed(_) => None,
        };
        if let Some(value) = at_hand {
            return Some(value);
        }
        if let Some(value) = self.unpacked.get(&number) {
            return Some(value);
        }
        let whole = self.whole(number)?;
        Some(self.unpacked.insert(number, whole))
    }

    /// The object, to be kept.
    pub(super) fn shared(&self, account: &str, id: &str) -> Option<Arc<Value>> {
        self.whole(self.number(account, id)?)
    }

    fn whole(&self, number: SlotNumber) -> Option<Arc<Value>> {
        match &self.slot(number)?.content {
            Content::AtHand(stored) => Some(stored.whole()),
            Content::Read(value, _) => Some(value.clone()),
            Content::Packed(place) => {
                // Looked at as a text once, and not each text in it.
                let read = |bytes: &[u8]| {
                    serde_json::from_str(std::str::from_utf8(bytes).ok()?)
                        .ok()
                        .map(Arc::new)
                };
                self.packs.read(*place, read).flatten()
            }
        }
    }

    /// All objects of a kind in one account, newest first.
    pub(super) fn each(&self, account: &str, kind: &str) -> impl Iterator<Item = Arc<Value>> {
        let number = self.account_numbers.get(account);
        let kind = number.and_then(|number| self.kind_numbers.get(number)?.get(kind).copied());
        let slots = kind.and_then(|number| self.kind(number)).map(|kind| &kind.slots);
        slots
            .into_iter()
            .flat_map(|slots| slots.iter().rev())
            .filter_map(|number| self.whole(*number))
    }

    /// The objects of a kind that belong to the object `owner` of an account, newest first.
    pub(super) fn of(&self, account: &str, owner: &str, kind: &str) -> impl Iterator<Item = Arc<Value>> {
        let account = self.account_numbers.get(account);
        let slots = account
            .map(|account| self.links.of(*account, owner))
            .unwrap_or_default();
        let own = slots.iter().rev().filter(move |number| {
            let slot = self.slot(**number);
            slot.and_then(|slot| self.kind(slot.kind))
                .is_some_and(|of| of.name == kind)
        });
        own.filter_map(|number| self.whole(*number))
    }

    /// The subscription of an account that has the item `id`: items are not stored by themselves.
    pub(super) fn with_item(&self, account: &str, id: &str) -> Option<Arc<Value>> {
        let number = self.links.with_item(*self.account_numbers.get(account)?, id)?;
        let mut items = self.whole(number).into_iter();
        items.find(|one| {
            field::elements(one, "items.data")
                .iter()
                .any(|item| field::text(item, "id") == id)
        })
    }

    /// The objects of an account whose ids lie from `low` to just before `high`, in the order of their ids, of kinds whose
    /// ids say their order.
    pub(super) fn between(&self, account: &str, low: &str, high: &str) -> impl Iterator<Item = &Value> {
        let number = self.account_numbers.get(account).filter(|_| low < high);
        let range = number.map(|number| self.ordered.range((*number, low.into())..(*number, high.into())));
        range.into_iter().flatten().filter_map(|(_, slot)| self.look(*slot))
    }

    /// All data sets there are.
    pub(super) fn accounts(&self) -> BTreeSet<String> {
        let filled = self.kinds.iter().filter(|kind| !kind.slots.is_empty());
        filled
            .filter_map(|kind| self.accounts.get(usize::try_from(kind.account).ok()?))
            .cloned()
            .collect()
    }

    /// How many objects of each kind there are in all data sets.
    pub(super) fn counts(&self) -> BTreeMap<&str, usize> {
        let mut counts = BTreeMap::new();
        for kind in self.kinds.iter().filter(|kind| !kind.slots.is_empty()) {
            *counts.entry(kind.name.as_str()).or_default() += kind.slots.len();
        }
        counts
    }

    /// All slots, in order of creation.
    pub(super) fn numbers(&self) -> impl Iterator<Item = SlotNumber> + use<> {
        (0..self.slots.len()).filter_map(|number| u32::try_from(number).ok())
    }

    /// The JSON of an object, handed to `read`.
    pub(super) fn read<T>(&self, number: SlotNumber, read: impl FnOnce(&[u8]) -> T) -> Option<T> {
        match &self.slot(number)?.content {
            Content::Packed(place) | Content::Read(_, place) => self.packs.read(*place, read),
            Content::AtHand(stored) => {
                let mut bytes = Vec::new();
                stored.write(&mut bytes).ok()?;
                Some(read(&bytes))
            }
        }
    }

    /// Whether every delivery of an event was accepted.
    pub(super) fn rests(&self, number: SlotNumber) -> bool {
        match self.slot(number).map(|slot| &slot.content) {
            Some(Content::AtHand(stored)) => stored.rests(),
            _ => true,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The earliest slot of a queue with something to do by `until`, and when.
    pub(super) fn next_due(&self, queue: &str, until: i64) -> Option<(i64, SlotNumber)> {
        let ((_, at), slot) = self.waiting(queue)?.next()?;
        (*at <= until).then_some((*at, *slot))
    }

    /// All slots of a queue, in the order in which they are due.
    pub(super) fn all_due(&self, queue: &str) -> impl Iterator<Item = SlotNumber> {
        self.waiting(queue).into_iter().flatten().map(|(_, slot)| *slot)
    }

    fn waiting(&self, queue: &str) -> Option<impl Iterator<Item = &(Due, SlotNumber)>> {
        let number = *self.queues.get(queue)?;
        Some(self.due.range(((number, i64::MIN), 0)..=((number, i64::MAX), u32::MAX)))
    }

    /// When an object has something to do, and in which queue.
    fn due_of(&mut self, object: &Value) -> Option<Due> {
        let at = billing::due_at(object)?;
        let queue = test_clock::queue(object);
        if let Some(number) = self.queues.get(queue) {
            return Some((*number, at));
        }
        let number = u32::try_from(self.queues.len()).ok()?;
        self.queues.insert(queue.to_owned(), number);
        Some((number, at))
    }

    /// Stores a version of an object, as part of the change at work.
    pub(super) fn store(&mut self, account: &str, id: &str, stored: Stored) {
        let known = self.number(account, id);
        let Some(number) = known.or_else(|| self.create(account, id, &stored)) else {
            return;
        };
        self.versions = self.versions.wrapping_add(1);
        let version = self.versions;
        let due = self.due_of(stored.head());
        if let Some(account) = self.slot(number).and_then(|slot| self.account_of(slot)) {
            self.links.add_items(account, stored.head(), number);
        }
        let touched = self.touched.iter().any(|(one, _)| *one == number);
        let before = self.put(number, (version, due, Content::AtHand(stored)));
        if !touched {
            self.touched.push((number, known.and(before)));
        }
    }

    /// Puts a version in a slot, and gives what was there.
    fn put(&mut self, number: SlotNumber, (version, due, content): Before) -> Option<Before> {
        self.unpacked.as_mut().remove(&number);
        let slot = usize::try_from(number)
            .ok()
            .and_then(|number| self.slots.get_mut(number))?;
        if let Some(at) = slot.due {
            self.due.remove(&(at, number));
        }
        if let Some(at) = due {
            self.due.insert((at, number));
        }
        Some((
            std::mem::replace(&mut slot.version, version),
            std::mem::replace(&mut slot.due, due),
            std::mem::replace(&mut slot.content, content),
        ))
    }

    fn create(&mut self, account: &str, id: &str, stored: &Stored) -> Option<SlotNumber> {
        let number = u32::try_from(self.slots.len()).ok()?;
        let kind_number = self.kind_number(account, field::text(stored.head(), "object"))?;
        let kind = self.kinds.get_mut(usize::try_from(kind_number).ok()?)?;
        kind.slots.push(number);
        let account = kind.account;
        if ORDERED.contains(&kind.name.as_str()) {
            self.ordered.insert((account, id.into()), number);
        }
        self.links.add(account, stored.head(), number);
        self.slots.push(Slot {
            id: id.into(),
            kind: kind_number,
            version: 0,
            due: None,
            content: Content::AtHand(stored.clone()),
        });
        let Self {
            index,
            slots,
            kinds,
            hasher,
            ..
        } = self;
        let hash_of = |number: &SlotNumber| {
            let slot = usize::try_from(*number).ok().and_then(|number| slots.get(number));
            slot.map_or(0, |slot| {
                let kind = usize::try_from(slot.kind).ok().and_then(|kind| kinds.get(kind));
                hasher.hash_one((kind.map_or(0, |kind| kind.account), &*slot.id))
            })
        };
        index.insert_unique(hash_of(&number), number, hash_of);
        Some(number)
    }

    /// The number of a kind in an account, new or not.
    fn kind_number(&mut self, account: &str, name: &str) -> Option<u32> {
        let account = match self.account_numbers.get(account) {
            Some(number) => *number,
            None => {
                let number = u32::try_from(self.accounts.len()).ok()?;
                self.accounts.push(account.to_owned());
                self.account_numbers.insert(account.to_owned(), number);
                number
            }
        };
        let of_account = self.kind_numbers.entry(account).or_default();
        if let Some(number) = of_account.get(name) {
            return Some(*number);
        }
        let number = u32::try_from(self.kinds.len()).ok()?;
        of_account.insert(name.to_owned(), number);
        self.kinds.push(Kind {
            account,
            name: name.to_owned(),
            slots: Vec::new(),
        });
        Some(number)
    }

    /// What the change at work has touched, in order of first touch.
    pub(super) fn touched(&self) -> impl Iterator<Item = Touched<'_>> {
        self.touched.iter().filter_map(|(number, before)| {
            let Content::AtHand(stored) = &self.slot(*number)?.content else {
                return None;
            };
            Some(Touched {
                slot: *number,
                is_new: before.is_none(),
                stored,
            })
        })
    }

    /// Begins a change within the change at work, which [`Store::take_up`] goes on with.
    pub(super) fn set_aside(&mut self) -> Aside {
        Aside(std::mem::take(&mut self.touched))
    }

    /// Goes on with a change that was set aside.
    pub(super) fn take_up(&mut self, Aside(touched): Aside) {
        self.touched = touched;
    }

    /// The change at work stands. What was not used for a while is packed.
    pub(super) fn settle(&mut self) {
        for (number, before) in std::mem::take(&mut self.touched) {
            if let Some(place) = before.and_then(|(_, _, content)| content.place()) {
                self.packs.forget(place);
            }
            let Some(slot) = self.slot(number) else { continue };
            let version = slot.version;
            match &slot.content {
                // An event is hardly read again.
                Content::AtHand(stored) if stored.plain().is_none() => self.put_away(number, version),
                _ => self.recent.push_back((number, version)),
            }
        }
        self.keep_read();
        while self.recent.len() > AT_HAND
            && let Some((number, version)) = self.recent.pop_front()
        {
            self.put_away(number, version);
        }
        self.take_packed(false);
    }

    fn take_packed(&mut self, waits: bool) {
        for (number, version, place) in self.packs.packed(waits) {
            match self.slot_mut(number) {
                Some(slot) if slot.version == version => slot.content = Content::Packed(place),
                _ => self.packs.forget(place),
            }
        }
    }

    /// Has the version of a slot packed, if it is still that, and if it rests.
    fn put_away(&mut self, number: SlotNumber, version: u32) {
        let Some(slot) = self.slot_mut(number).filter(|slot| slot.version == version) else {
            return;
        };
        match &slot.content {
            Content::AtHand(stored) if stored.rests() => {
                let (kind, parcel) = (slot.kind, (number, version, stored.clone()));
                let parcels = self.parcels.entry(kind).or_default();
                parcels.push(parcel);
                if parcels.len() == TOGETHER {
                    self.packs.pack(std::mem::take(parcels));
                }
            }
            Content::Read(_, place) => slot.content = Content::Packed(*place),
            _ => {}
        }
    }

    /// What was unpacked stays at hand for a while.
    fn keep_read(&mut self) {
        if self.unpacked.is_empty() {
            return;
        }
        for (number, value) in std::mem::take(&mut self.unpacked).into_tuple_vec() {
            if let Some(slot) = self.slot_mut(number)
                && let Content::Packed(place) = slot.content
            {
                slot.content = Content::Read(value, place);
                let version = slot.version;
                self.recent.push_back((number, version));
            }
        }
    }

    /// The change at work has not happened.
    pub(super) fn roll_back(&mut self) {
        for (number, before) in std::mem::take(&mut self.touched).into_iter().rev() {
            match before {
                Some(before) => {
                    self.put(number, before);
                }
                None => self.uncreate(number),
            }
        }
        self.keep_read();
    }

    /// Takes back the newest slot.
    fn uncreate(&mut self, number: SlotNumber) {
        let Some(slot) = self.slot(number) else { return };
        let Some(account) = self.account_of(slot) else { return };
        let hash = self.hasher.hash_one((account, &*slot.id));
        if let Ok(entry) = self.index.find_entry(hash, |one| *one == number) {
            entry.remove();
        }
        let Some(slot) = self.slots.pop() else { return };
        if let Some(at) = slot.due {
            self.due.remove(&(at, number));
        }
        if let Some(kind) = usize::try_from(slot.kind)
            .ok()
            .and_then(|kind| self.kinds.get_mut(kind))
        {
            kind.slots.pop();
        }
        if let Content::AtHand(stored) = &slot.content {
            self.links.forget(account, stored.head(), number);
        }
        self.ordered.remove(&(account, slot.id));
    }
}

#[cfg(test)]
mod tests;
