//! Places that hold over a whole film, so that nothing moves that did not move in the kernel.

use std::collections::HashMap;

use crate::trace::{EpollState, ItemRef};

/// A place for each of some things that come and go: the first free one when it comes, and until it goes.
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    /// In each step of the film who stands where.
    steps: Vec<HashMap<String, usize>>,
    /// How many places there are.
    pub(super) count: usize,
}

impl Places {
    /// Gives out places; each step says who is there.
    pub(super) fn of(film: impl Iterator<Item = Vec<String>>) -> Places {
        let mut places = Places::default();
        let mut taken: HashMap<String, usize> = HashMap::new();
        for keys in film {
            taken.retain(|key, _| keys.contains(key));
            for key in keys {
                if taken.contains_key(&key) {
                    continue;
                }
                let free = (0..).find(|place| !taken.values().any(|it| it == place));
                let free = free.unwrap_or_default();
                places.count = places.count.max(free + 1);
                taken.insert(key, free);
            }
            places.steps.push(taken.clone());
        }
        places
    }

    /// Where this one stands in a step.
    pub(super) fn get(&self, step: usize, key: &str) -> Option<usize> {
        self.steps.get(step)?.get(key).copied()
    }
}

/// Tells things of the same name apart: the second `epoll 3` of two becomes `epoll 3.2`.
pub(super) fn numbered(names: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut seen: HashMap<String, u32> = HashMap::new();
    let number = |name: String| {
        let count = seen.entry(name.clone()).or_default();
        *count += 1;
        if *count > 1 {
            format!("{name}.{count}")
        } else {
            name
        }
    };
    names.into_iter().map(number).collect()
}

/// Items by their numbers.
pub(super) fn item_keys(items: impl Iterator<Item = ItemRef>) -> Vec<String> {
    numbered(items.map(|item| item.tfd.to_string()))
}

/// The columns of a tree's nodes. A node keeps its column while the tree turns, since no rotation changes
/// the order from left to right.
#[derive(Clone, Debug, Default)]
pub(super) struct Columns {
    /// In each step the column that each node, in pre-order, has been given; not yet where it is.
    steps: Vec<Vec<u32>>,
    /// All columns from left to right.
    order: Vec<u32>,
}

/// A column while columns are given out, and who had it last.
#[derive(Clone, Debug)]
struct Column {
    number: u32,
    key: String,
}

impl Columns {
    /// Gives out columns; each step has the tree as it is then, if it is there.
    pub(super) fn of<'s>(film: impl Iterator<Item = Option<&'s EpollState>>) -> Columns {
        let mut columns: Vec<Column> = Vec::new();
        let mut fresh = 0;
        let mut steps = Vec::new();
        for epoll in film {
            let Some(epoll) = epoll else {
                steps.push(Vec::new());
                continue;
            };
            let keys = item_keys(epoll.tree.iter().map(|node| node.item));
            let mut given = vec![0; keys.len()];
            let order = from_left(epoll);
            // The first column that is not too far left.
            let mut first = 0;
            for (rank, node) in order.iter().enumerate() {
                let known = |key: &String, columns: &[Column]| {
                    let from = columns.get(first..)?;
                    from.iter()
                        .position(|it| it.key == *key)
                        .map(|at| first + at)
                };
                let at = known(&keys[*node], &columns).unwrap_or_else(|| {
                    let end = order[rank + 1..]
                        .iter()
                        .find_map(|node| known(&keys[*node], &columns))
                        .unwrap_or(columns.len());
                    // Somebody else's who is gone, or a new one.
                    let free = (first..end).find(|at| !keys.contains(&columns[*at].key));
                    let at = free.unwrap_or(end);
                    let column = Column {
                        number: fresh,
                        key: keys[*node].clone(),
                    };
                    match free {
                        Some(at) => columns[at].key = column.key,
                        None => {
                            columns.insert(at, column);
                            fresh += 1;
                        }
                    }
                    at
                });
                given[*node] = columns[at].number;
                first = at + 1;
            }
            steps.push(given);
        }
        let order = columns.iter().map(|column| column.number).collect();
        Columns { steps, order }
    }

    pub(super) fn count(&self) -> usize {
        self.order.len()
    }

    /// The column of a node, counted from the left.
    pub(super) fn get(&self, step: usize, node: usize) -> usize {
        let number = self.steps.get(step).and_then(|given| given.get(node));
        let at = number.and_then(|number| self.order.iter().position(|it| it == number));
        at.unwrap_or_default()
    }
}

/// The nodes of a tree from left to right.
fn from_left(epoll: &EpollState) -> Vec<usize> {
    let mut order = Vec::new();
    let mut above = Vec::new();
    let mut next = (!epoll.tree.is_empty()).then_some(0);
    while next.is_some() || !above.is_empty() {
        while let Some(node) = next {
            above.push(node);
            next = epoll.tree[node].left;
        }
        if let Some(node) = above.pop() {
            order.push(node);
            next = epoll.tree[node].right;
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_kept_until_its_owner_goes_and_then_given_to_the_next() {
        let film = [vec!["a"], vec!["a", "b"], vec!["b"], vec!["c", "b"]];
        let film = film.map(|keys| keys.into_iter().map(str::to_owned).collect());
        let places = Places::of(film.into_iter());
        assert_eq!(places.get(1, "b"), Some(1));
        assert_eq!(places.get(2, "a"), None);
        assert_eq!(places.get(3, "b"), Some(1));
        assert_eq!(places.get(3, "c"), Some(0));
        assert_eq!(places.count, 2);
    }

    #[test]
    fn two_of_one_name_are_told_apart() {
        let names = ["4", "5", "4"].map(str::to_owned);
        assert_eq!(numbered(names), ["4", "5", "4.2"]);
    }
}
