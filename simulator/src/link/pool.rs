//! Many small queues in one block of memory, which is as large as all of them ever were together.

/// Marks the end of a list.
const NIL: u32 = u32::MAX;

/// The memory of many queues: what leaves one makes room for the next, still warm in the cache.
#[derive(Debug)]
pub struct Pool<T> {
    slots: Vec<Slot<T>>,
    free: u32,
}

#[derive(Debug)]
struct Slot<T> {
    value: Option<T>,
    next: u32,
}

/// A queue whose items lie in a [`Pool`].
#[derive(Clone, Copy, Debug)]
pub struct Fifo {
    head: u32,
    tail: u32,
}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), free: NIL }
    }
}

impl Default for Fifo {
    fn default() -> Self {
        Self { head: NIL, tail: NIL }
    }
}

impl<T> Pool<T> {
    /// Stores `value`; where.
    pub fn insert(&mut self, value: T) -> u32 {
        match self.free {
            NIL => {
                self.slots.push(Slot { value: Some(value), next: NIL });
                self.slots.len() as u32 - 1
            }
            index => {
                let slot = &mut self.slots[index as usize];
                self.free = slot.next;
                slot.value = Some(value);
                index
            }
        }
    }

    /// What is stored at `index`.
    ///
    /// # Panics
    /// When nothing is.
    pub fn get(&self, index: u32) -> &T {
        self.slots[index as usize].value.as_ref().expect("the slot is in use")
    }

    /// What is stored at `index`, to be changed.
    ///
    /// # Panics
    /// When nothing is.
    pub fn get_mut(&mut self, index: u32) -> &mut T {
        self.slots[index as usize].value.as_mut().expect("the slot is in use")
    }

    /// Takes out what is stored at `index`.
    ///
    /// # Panics
    /// When nothing is.
    pub fn remove(&mut self, index: u32) -> T {
        let slot = &mut self.slots[index as usize];
        let value = slot.value.take().expect("the slot is in use");
        slot.next = self.free;
        self.free = index;
        value
    }

    /// Everything that is stored, in no order that means anything.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().filter_map(|slot| slot.value.as_ref())
    }
}

impl Fifo {
    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.head == NIL
    }

    /// Adds `value` at the back.
    pub fn push<T>(&mut self, pool: &mut Pool<T>, value: T) {
        let index = pool.insert(value);
        self.push_slot(pool, index);
    }

    /// Adds `value` before the first behind the first `skip` that `later` holds for, or at the back.
    pub fn insert_before<T>(
        &mut self,
        pool: &mut Pool<T>,
        skip: usize,
        value: T,
        later: impl Fn(&T) -> bool,
    ) {
        let (mut before, mut next, mut nth) = (NIL, self.head, 0);
        while next != NIL && (nth < skip || !later(pool.get(next))) {
            (before, next, nth) = (next, pool.slots[next as usize].next, nth + 1);
        }
        let index = pool.insert(value);
        pool.slots[index as usize].next = next;
        match before {
            NIL => self.head = index,
            before => pool.slots[before as usize].next = index,
        }
        if next == NIL {
            self.tail = index;
        }
    }

    /// Adds a value that is in the pool already, at the back.
    pub fn push_slot<T>(&mut self, pool: &mut Pool<T>, index: u32) {
        pool.slots[index as usize].next = NIL;
        match self.tail {
            NIL => self.head = index,
            tail => pool.slots[tail as usize].next = index,
        }
        self.tail = index;
    }

    /// The value at the front.
    pub fn front<'p, T>(&self, pool: &'p Pool<T>) -> Option<&'p T> {
        (self.head != NIL).then(|| pool.get(self.head))
    }

    /// Takes the value at the front out.
    pub fn pop<T>(&mut self, pool: &mut Pool<T>) -> Option<T> {
        let index = self.pop_slot(pool)?;
        Some(pool.remove(index))
    }

    /// Forgets all values.
    pub fn clear<T>(&mut self, pool: &mut Pool<T>) {
        while self.pop(pool).is_some() {}
    }

    /// Puts all values of `other` before the first.
    pub fn prepend<T>(&mut self, pool: &mut Pool<T>, other: Self) {
        if other.is_empty() {
            return;
        }
        pool.slots[other.tail as usize].next = self.head;
        self.head = other.head;
        if self.tail == NIL {
            self.tail = other.tail;
        }
    }

    /// Changes each value, from the front on.
    pub fn change<T>(&self, pool: &mut Pool<T>, mut change: impl FnMut(&mut T)) {
        let mut index = self.head;
        while index != NIL {
            change(pool.get_mut(index));
            index = pool.slots[index as usize].next;
        }
    }

    /// Moves the value at the front to the back of `other`.
    pub fn move_front<T>(&mut self, pool: &mut Pool<T>, other: &mut Self) {
        if let Some(index) = self.pop_slot(pool) {
            other.push_slot(pool, index);
        }
    }

    /// Takes out the first value behind the first `skip` that `wanted` holds for.
    pub fn remove_first<T>(
        &mut self,
        pool: &mut Pool<T>,
        skip: usize,
        wanted: impl Fn(&T) -> bool,
    ) -> Option<T> {
        let (mut before, mut index, mut nth) = (NIL, self.head, 0);
        while index != NIL {
            let next = pool.slots[index as usize].next;
            if nth >= skip && wanted(pool.get(index)) {
                match before {
                    NIL => self.head = next,
                    before => pool.slots[before as usize].next = next,
                }
                if next == NIL {
                    self.tail = before;
                }
                return Some(pool.remove(index));
            }
            (before, index, nth) = (index, next, nth + 1);
        }
        None
    }

    /// Takes the value at the front out of the queue, but not out of the pool: where it is.
    pub fn pop_slot<T>(&mut self, pool: &Pool<T>) -> Option<u32> {
        let index = self.head;
        if index == NIL {
            return None;
        }
        self.head = pool.slots[index as usize].next;
        if self.head == NIL {
            self.tail = NIL;
        }
        Some(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_share_a_pool_and_keep_their_order() {
        let (mut pool, mut a, mut b) = (Pool::default(), Fifo::default(), Fifo::default());
        for value in 0..5 {
            a.push(&mut pool, value);
            b.push(&mut pool, value + 10);
        }
        assert_eq!(a.remove_first(&mut pool, 0, |&v| v == 4), Some(4));
        assert_eq!(a.remove_first(&mut pool, 3, |&v| v == 2), None, "the first three are passed over");
        assert_eq!(a.remove_first(&mut pool, 0, |&v| v == 0), Some(0));
        a.insert_before(&mut pool, 1, 8, |&v| v >= 1);
        assert_eq!(a.remove_first(&mut pool, 1, |_| true), Some(8), "behind the first");
        a.insert_before(&mut pool, 0, 9, |&v| v > 100);
        a.insert_before(&mut pool, 0, 0, |&v| v == 1);
        assert_eq!(a.remove_first(&mut pool, 0, |_| true), Some(0), "before the first");
        assert_eq!(a.remove_first(&mut pool, 3, |_| true), Some(9), "at the back");
        let mut front = Fifo::default();
        front.prepend(&mut pool, Fifo::default());
        front.push(&mut pool, 1);
        a.remove_first(&mut pool, 0, |&v| v == 1);
        a.prepend(&mut pool, front);
        a.move_front(&mut pool, &mut b);
        a.push(&mut pool, 9);
        let drain =
            |fifo: &mut Fifo, pool: &mut Pool<i32>| std::iter::from_fn(|| fifo.pop(pool)).collect::<Vec<_>>();
        assert_eq!(drain(&mut a, &mut pool), [2, 3, 9]);
        assert_eq!(drain(&mut b, &mut pool), [10, 11, 12, 13, 14, 1]);
        assert_eq!(pool.slots.len(), 10, "memory is used again");
        assert!(a.is_empty() && b.is_empty());
    }
}
