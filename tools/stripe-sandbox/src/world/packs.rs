//! Objects that nobody has touched for a while, as compressed JSON: many in a block, and a block compressed by a thread of its own.

use std::{
    cell::RefCell,
    collections::VecDeque,
    sync::{
        Arc,
        mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    },
};

use super::stored::Stored;

/// How many blocks may wait to be compressed before the world waits for them.
const QUEUE: usize = 8;
/// How many blocks are kept unpacked, as what was packed together is often read together.
const OPEN: usize = 16;

/// Where a packed object lies: its block, and which of the block's bytes it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    block: u32,
    from: u32,
    to: u32,
}

/// One object to be packed: its slot, the version of it, and the object.
pub(super) type Parcel = (u32, u32, Stored);

/// What has been packed: each slot and version with its place.
pub(super) type Packed = Vec<(u32, u32, Place)>;

#[derive(Debug)]
struct Block {
    compressed: Box<[u8]>,
    length: usize,
    /// How many of its objects are still what they were.
    live: u32,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Packs {
    blocks: Vec<Option<Block>>,
    worker: Option<Worker>,
    open: RefCell<VecDeque<(u32, Arc<[u8]>)>>,
}

#[derive(Debug)]
struct Worker {
    jobs: SyncSender<Vec<Parcel>>,
    done: Receiver<Written>,
    /// How many blocks it has not finished.
    under_way: usize,
}

/// A block, and for each of its objects the slot, the version, and where its bytes end.
type Written = (Block, Vec<(u32, u32, u32)>);

impl Packs {
    /// Has a block made of these objects. They are to be kept until [`Packs::packed`] tells where they are.
    pub(super) fn pack(&mut self, parcels: Vec<Parcel>) {
        if self.worker.is_none() {
            self.worker = Worker::start();
        }
        // If the thread is gone, the objects stay as they are.
        if let Some(worker) = &mut self.worker
            && worker.jobs.send(parcels).is_ok()
        {
            worker.under_way += 1;
        }
    }

    /// What has been packed since the last call; all that there is to pack, if `waits`.
    pub(super) fn packed(&mut self, waits: bool) -> Packed {
        let Some(worker) = &mut self.worker else {
            return Vec::new();
        };
        let finished: Vec<Written> = match waits {
            true => worker.done.iter().take(worker.under_way).collect(),
            false => worker.done.try_iter().collect(),
        };
        worker.under_way = worker.under_way.saturating_sub(finished.len());
        let mut packed = Vec::new();
        for (block, ends) in finished {
            let Ok(number) = u32::try_from(self.blocks.len()) else {
                return packed;
            };
            self.blocks.push(Some(block));
            let mut from = 0;
            for (slot, version, to) in ends {
                packed.push((
                    slot,
                    version,
                    Place {
                        block: number,
                        from,
                        to,
                    },
                ));
                from = to;
            }
        }
        packed
    }

    /// The JSON of a packed object, handed to `read`.
    pub(super) fn read<T>(&self, place: Place, read: impl FnOnce(&[u8]) -> T) -> Option<T> {
        let block = self.unpacked(place.block)?;
        let range = usize::try_from(place.from).ok()?..usize::try_from(place.to).ok()?;
        block.get(range).map(read)
    }

    fn unpacked(&self, number: u32) -> Option<Arc<[u8]>> {
        let mut open = self.open.borrow_mut();
        if let Some(index) = open.iter().position(|(one, _)| *one == number)
            && let Some(found) = open.remove(index)
        {
            let bytes = found.1.clone();
            open.push_front(found);
            return Some(bytes);
        }
        let block = self.blocks.get(usize::try_from(number).ok()?)?.as_ref()?;
        let bytes: Arc<[u8]> = lz4_flex::block::decompress(&block.compressed, block.length)
            .ok()?
            .into();
        open.truncate(OPEN - 1);
        open.push_front((number, bytes.clone()));
        Some(bytes)
    }

    /// The object at `place` is there no more, or is kept elsewhere; with the last one its block goes.
    pub(super) fn forget(&mut self, place: Place) {
        let block = usize::try_from(place.block)
            .ok()
            .and_then(|number| self.blocks.get_mut(number));
        if let Some(slot) = block
            && let Some(block) = slot
        {
            block.live = block.live.saturating_sub(1);
            if block.live == 0 {
                *slot = None;
            }
        }
    }
}

#[cfg(test)]
impl Packs {
    /// How many objects are packed.
    pub(super) fn held(&self) -> u32 {
        self.blocks.iter().flatten().map(|block| block.live).sum()
    }
}

impl Worker {
    fn start() -> Option<Self> {
        let (jobs, waiting) = sync_channel(QUEUE);
        let (finished, done) = channel();
        std::thread::Builder::new()
            .name("packs".to_owned())
            .spawn(move || work(&waiting, &finished))
            .ok()?;
        Some(Self {
            jobs,
            done,
            under_way: 0,
        })
    }
}

fn work(jobs: &Receiver<Vec<Parcel>>, done: &Sender<Written>) {
    // The objects of the last block are dropped here, after the world has dropped them: freeing them is work, too.
    let mut last = Vec::new();
    let mut bytes = Vec::new();
    while let Ok(parcels) = jobs.recv() {
        bytes.clear();
        let mut ends = Vec::with_capacity(parcels.len());
        for (slot, version, object) in &parcels {
            let before = bytes.len();
            // Beyond four gigabytes, or what is no JSON, stays unpacked.
            match object
                .write(&mut bytes)
                .ok()
                .and_then(|()| u32::try_from(bytes.len()).ok())
            {
                Some(end) => ends.push((*slot, *version, end)),
                None => bytes.truncate(before),
            }
        }
        let block = Block {
            compressed: lz4_flex::block::compress(&bytes).into_boxed_slice(),
            length: bytes.len(),
            live: u32::try_from(ends.len()).unwrap_or(u32::MAX),
        };
        if done.send((block, ends)).is_err() {
            return;
        }
        drop(std::mem::replace(&mut last, parcels));
    }
}
