//! Stalls of the fold pipeline against a simulation that moves every cycle.

use proptest::prelude::*;
use vmin_accel::cycles::pipeline::{FoldCost, Pipeline, cycles};

/// A transfer in the order in which the bus serves them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Transfer {
    Read(usize),
    Write(usize),
}

/// Cycle by cycle: one transfer on the bus, one fold on the array, each begins when it may.
fn simulate(folds: &[FoldCost], latency: u64) -> u64 {
    let count = folds.len();
    let mut order = vec![Transfer::Read(0)];
    for fold in 0..count {
        if fold + 1 < count {
            order.push(Transfer::Read(fold + 1));
        }
        order.push(Transfer::Write(fold));
    }
    let length = |transfer: Transfer| match transfer {
        Transfer::Read(fold) => folds[fold].read,
        Transfer::Write(fold) => folds[fold].write,
    };
    order.retain(|transfer| length(*transfer) > 0);
    let never = u64::MAX;
    let mut done = vec![never; count];
    // Cycle from which operands are there, results are gone.
    let (mut there, mut gone) = (vec![never; count], vec![never; count]);
    for fold in 0..count {
        if folds[fold].read == 0 {
            there[fold] = 0;
        }
    }
    let mut on_bus: Option<(Transfer, u64)> = None;
    let (mut next_transfer, mut next_fold) = (0, 0);
    for now in 0.. {
        // What ends now, ends before anything begins.
        if let Some((transfer, until)) = on_bus
            && until == now
        {
            match transfer {
                Transfer::Read(fold) => there[fold] = now + latency,
                Transfer::Write(fold) => gone[fold] = now,
            }
            on_bus = None;
        }
        // A fold of no cycles ends when it begins, so this may go round several times.
        loop {
            let mut moved = false;
            if next_fold < count {
                let fold = next_fold;
                let free = fold == 0 || (done[fold - 1] <= now);
                let emptied = fold < 2 || folds[fold - 2].write == 0 || gone[fold - 2] <= now;
                if free && there[fold] <= now && emptied {
                    done[fold] = now + folds[fold].compute;
                    next_fold += 1;
                    moved = true;
                }
            }
            if on_bus.is_none() && next_transfer < order.len() {
                let transfer = order[next_transfer];
                let may = match transfer {
                    Transfer::Read(fold) => fold < 2 || done[fold - 2] <= now,
                    Transfer::Write(fold) => done[fold] <= now,
                };
                if may {
                    on_bus = Some((transfer, now + length(transfer)));
                    next_transfer += 1;
                    moved = true;
                }
            }
            if !moved {
                break;
            }
        }
        if next_fold == count && next_transfer == order.len() && on_bus.is_none() {
            return now.max(done[count - 1]);
        }
        assert!(now < 100_000, "the pipeline stands still");
    }
    unreachable!("returns from the loop")
}

fn costs() -> impl Strategy<Value = Vec<FoldCost>> {
    let cost = (0_u64..9, 1_u64..9, 0_u64..6).prop_map(|(read, compute, write)| FoldCost {
        read,
        compute,
        write,
    });
    prop::collection::vec(cost, 1..14)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]
    #[test]
    fn recurrence_and_simulation_agree(folds in costs(), latency in 0_u64..7) {
        let expected = simulate(&folds, latency);
        prop_assert_eq!(cycles(folds.iter().copied(), latency, true), expected);
        let serial = cycles(folds.iter().copied(), latency, false);
        prop_assert!(expected <= serial, "two buffers are never slower: {} {}", expected, serial);
        let compute: u64 = folds.iter().map(|fold| fold.compute).sum();
        let bus: u64 = folds.iter().map(|fold| fold.read + fold.write).sum();
        prop_assert!(expected >= compute.max(bus));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn repeated_folds_are_not_walked_but_counted(
        before in costs(), again in costs(), after in costs(),
        latency in 0_u64..30, count in 0_u64..200, double_buffer in any::<bool>(),
    ) {
        let mut pipeline = Pipeline::new(latency, double_buffer);
        before.iter().for_each(|fold| pipeline.push(*fold));
        pipeline.repeat(count, |pipeline| again.iter().for_each(|fold| pipeline.push(*fold)));
        after.iter().for_each(|fold| pipeline.push(*fold));
        let repeated = (0..count).flat_map(|_| again.iter().copied());
        let all = before.iter().copied().chain(repeated).chain(after.iter().copied());
        prop_assert_eq!(pipeline.cycles(), cycles(all, latency, double_buffer));
    }
}

#[test]
fn a_bus_twice_as_slow_as_the_array_sets_the_pace() {
    let fold = FoldCost { read: 20, compute: 10, write: 0 };
    // 100 reads of 20 cycles, then the latency and the last fold.
    assert_eq!(cycles([fold; 100], 7, true), 100 * 20 + 7 + 10);
    assert_eq!(cycles([fold; 100], 7, false), 100 * (20 + 7 + 10));
    assert_eq!(cycles([], 7, true), 0);
}
