//! The expected time of a product on a GPU, from public figures: which variants are measured first, and the choice without measuring.
//!
//! A product is as slow as the slowest of these: the multiply-adds; the loads of threads from the first cache and from workgroup
//! memory; the chain of turns, each of which waits for loads; the loads of workgroups from the shared cache. `docs/kernels.md` has
//! the predictions for four GPUs and says where the figures are from.

use super::variant::{Family, ProductSize, Variant};

/// What is known about a GPU.
#[derive(Clone, Copy, Debug)]
pub struct Processor {
    /// A part of the adapter's name.
    pub name: &'static str,
    /// Units that run workgroups: multiprocessors, compute units, cores.
    pub units: f64,
    /// Clock, in GHz.
    pub clock: f64,
    /// Multiply-adds in f32 of a unit in a clock, as compilers reach them.
    pub multiply_adds: f64,
    /// Most threads of a unit at a time.
    pub threads: f64,
    /// Registers of a unit, of 32 bits.
    pub registers: f64,
    /// Bytes of workgroup memory of a unit.
    pub workgroup_bytes: f64,
    /// Bytes that a unit loads in a clock from its first cache or workgroup memory.
    pub local_bytes: f64,
    /// Values that a unit shuffles in a clock.
    pub shuffles: f64,
    /// Bytes per nanosecond of the cache that all units share.
    pub cache: f64,
    /// Clocks of a load from that cache.
    pub latency: f64,
    /// Microseconds from one dispatch to the next that waits for it.
    pub dispatch: f64,
}

/// Four GPUs of different makes. The first one stands for those that are not known.
pub const PROCESSORS: [Processor; 4] = [
    Processor {
        name: "Arc",
        units: 32.0,
        clock: 2.4,
        multiply_adds: 128.0,
        threads: 1024.0,
        registers: 131_072.0,
        workgroup_bytes: 131_072.0,
        local_bytes: 128.0,
        shuffles: 32.0,
        cache: 2000.0,
        latency: 320.0,
        dispatch: 4.0,
    },
    Processor {
        name: "H100",
        units: 132.0,
        clock: 1.98,
        multiply_adds: 128.0,
        threads: 2048.0,
        registers: 65_536.0,
        workgroup_bytes: 233_472.0,
        local_bytes: 128.0,
        shuffles: 32.0,
        cache: 4860.0,
        latency: 260.0,
        dispatch: 2.0,
    },
    Processor {
        name: "7900 XTX",
        units: 96.0,
        clock: 2.5,
        multiply_adds: 64.0,
        threads: 1024.0,
        registers: 98_304.0,
        workgroup_bytes: 65_536.0,
        local_bytes: 128.0,
        shuffles: 32.0,
        cache: 5800.0,
        latency: 200.0,
        dispatch: 0.9,
    },
    Processor {
        name: "M3",
        units: 10.0,
        clock: 1.38,
        multiply_adds: 128.0,
        threads: 1024.0,
        registers: 53_248.0,
        workgroup_bytes: 61_440.0,
        local_bytes: 64.0,
        shuffles: 64.0,
        cache: 440.0,
        latency: 250.0,
        dispatch: 2.0,
    },
];

/// Threads that lie beside each other and load a quad each from different rows use half of the 32 bytes that a cache delivers.
const SCATTERED: f64 = 2.0;

/// What a thread does in a turn, and the turns: how many products a variant needs to make its tile.
struct Turn {
    turns: f64,
    multiply_adds: f64,
    /// Quads loaded from buffers.
    loads: f64,
    /// Quads loaded from and stored to workgroup memory.
    local: f64,
    shuffles: f64,
}

impl Variant {
    fn number(&self, name: &str) -> f64 {
        self.constant(name) as f64
    }

    /// Threads of a workgroup.
    pub fn threads(&self) -> f64 {
        match self.family {
            Family::Tiles => self.number("TILE_ROWS") * self.number("TILE_COLUMNS") / 64.0,
            Family::Slices => self.number("SLICES") * self.number("TILE_COLUMNS") / 4.0,
            Family::Workgroup => {
                let thread = self.number("THREAD_ROWS") * self.number("THREAD_COLUMNS");
                self.number("TILE_ROWS") * self.number("TILE_COLUMNS") / thread
            }
            Family::Lanes => 8.0 * self.number("CLUSTERS"),
        }
    }

    /// Bytes of workgroup memory for operands and sums, without those for sums over rows.
    pub fn workgroup_bytes(&self) -> f64 {
        match self.family {
            Family::Tiles | Family::Lanes => 0.0,
            Family::Slices => 16.0 * self.threads() * self.number("TILE_ROWS"),
            Family::Workgroup => {
                let quads = (self.number("TILE_ROWS") + self.number("TILE_COLUMNS")) / 4.0 + 2.0 * self.number("PAD");
                2.0 * 16.0 * self.number("DEPTH") * quads
            }
        }
    }

    /// Sums of a thread.
    fn sums(&self) -> f64 {
        let slices = if self.family == Family::Slices { self.number("SLICES") } else { 1.0 };
        slices * self.number("TILE_ROWS") * self.number("TILE_COLUMNS") / self.threads()
    }

    fn turn(&self, terms: f64) -> Turn {
        let sums = self.sums();
        match self.family {
            // Four terms: 8 rows of either operand.
            Family::Tiles => {
                Turn { turns: terms / 4.0, multiply_adds: 4.0 * sums, loads: 16.0, local: 0.0, shuffles: 0.0 }
            }
            Family::Slices => {
                let (rows, slices) = (self.number("TILE_ROWS"), self.number("SLICES"));
                let turns = (terms / 4.0 / slices).ceil();
                Turn { turns, multiply_adds: 4.0 * sums, loads: 4.0 + rows, local: 0.0, shuffles: 0.0 }
            }
            Family::Workgroup => {
                let (depth, slices) = (self.number("DEPTH"), self.number("SLICES"));
                let loads = depth * (self.number("TILE_ROWS") + self.number("TILE_COLUMNS")) / 4.0 / self.threads();
                let own = depth * (self.number("THREAD_ROWS") + self.number("THREAD_COLUMNS")) / 4.0;
                let turns = (terms / depth / slices).ceil();
                Turn { turns, multiply_adds: depth * sums, loads, local: own + loads, shuffles: 0.0 }
            }
            // Eight terms: two quads of 4 columns and of every fourth row.
            Family::Lanes => {
                let rows = self.number("TILE_ROWS") / self.number("CLUSTERS");
                let (loads, shuffles) = (8.0 + rows / 4.0, 8.0 * rows);
                Turn { turns: (terms / 8.0).ceil(), multiply_adds: 8.0 * sums, loads, local: 0.0, shuffles }
            }
        }
    }

    /// Registers of a thread: its sums, and an estimate for addresses, operands and the loop.
    pub fn registers(&self) -> f64 {
        self.sums() + 40.0
    }

    /// Workgroups of a product.
    pub fn workgroups(&self, size: ProductSize) -> f64 {
        size.results().into_iter().map(|result| self.workgroups_of(result)).sum()
    }

    fn workgroups_of(&self, [rows, columns, _]: [usize; 3]) -> f64 {
        let tiles = rows.div_ceil(self.constant("TILE_ROWS")) * columns.div_ceil(self.constant("TILE_COLUMNS"));
        (tiles * self.passes()) as f64
    }

    /// Workgroups that a unit runs at a time, at most.
    pub fn resident(&self, processor: &Processor) -> f64 {
        let registers = self.registers() * self.threads();
        let by_memory = processor.workgroup_bytes / self.workgroup_bytes().max(1.0);
        (processor.threads / self.threads()).min(processor.registers / registers).min(by_memory).floor().max(1.0)
    }
}

/// Bytes that the workgroups of a product load from buffers and store, if a workgroup loads each value once.
pub fn bytes(variant: &Variant, size: ProductSize) -> f64 {
    let of = |[rows, columns, terms]: [usize; 3]| {
        let slices = variant.passes() as f64;
        let a_workgroup = (variant.number("TILE_ROWS") + variant.number("TILE_COLUMNS")) * terms as f64 / slices;
        // With several passes, each slice is stored and loaded again.
        let results = if slices > 1.0 { 2.0 * slices + 1.0 } else { 1.0 };
        4.0 * (variant.workgroups_of([rows, columns, terms]) * a_workgroup + results * (rows * columns) as f64)
    };
    size.results().into_iter().map(of).sum()
}

/// The expected time of a product, in seconds.
pub fn seconds(processor: &Processor, variant: &Variant, size: ProductSize) -> f64 {
    let [mut arithmetic, mut local, mut shuffles, mut chain] = [0.0; 4];
    let of_a_unit = (variant.workgroups(size) / processor.units).ceil();
    let waves = (of_a_unit / variant.resident(processor)).ceil();
    let scattered = if matches!(variant.family, Family::Tiles | Family::Lanes) { SCATTERED } else { 1.0 };
    for result in size.results() {
        let turn = variant.turn(result[2] as f64);
        let share = variant.workgroups_of(result) / variant.workgroups(size);
        let threads = share * of_a_unit * variant.threads() * turn.turns;
        arithmetic += threads * turn.multiply_adds / processor.multiply_adds;
        local += threads * 16.0 * (scattered * turn.loads + turn.local) / processor.local_bytes;
        shuffles += threads * turn.shuffles / processor.shuffles;
        // Through workgroup memory, the loads of the next turn are in flight during a turn; otherwise a turn waits for its loads.
        let own = turn.multiply_adds * variant.threads() / processor.multiply_adds;
        let wait =
            if variant.family == Family::Workgroup { processor.latency.max(own) } else { processor.latency + own };
        // The workgroups of both results run side by side.
        chain = f64::max(chain, waves * turn.turns * wait);
    }
    let clocks = [arithmetic, local, shuffles, chain].into_iter().fold(0.0, f64::max);
    let dispatches = if variant.passes() == 1 { 1 } else { 1 + size.results().len() };
    let cache = 1e-9 * bytes(variant, size) / processor.cache;
    1e-6 * processor.dispatch * dispatches as f64 + cache.max(1e-9 * clocks / processor.clock)
}

/// The expected time on a GPU of which only the name is known.
pub(super) fn on_adapter(name: &str, variant: &Variant, size: ProductSize) -> f64 {
    let name = name.replace("H200", "H100");
    let known = PROCESSORS.iter().find(|processor| name.contains(processor.name));
    seconds(known.unwrap_or(&PROCESSORS[0]), variant, size)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: ProductSize = ProductSize { layer: "", entry: "forward", inputs: 400, outputs: 40, batch: 128 };
    const LARGE: ProductSize = ProductSize { layer: "", entry: "backward", inputs: 1024, outputs: 1024, batch: 4096 };

    fn best(name: &str, size: ProductSize) -> &'static Variant {
        let gpu_variants = Variant::all().iter().filter(|variant| !variant.reads_textures());
        let time = |variant: &&Variant| on_adapter(name, variant, size);
        gpu_variants.min_by(|a, b| time(a).total_cmp(&time(b))).expect("there are variants")
    }

    #[test]
    fn no_product_is_faster_than_its_arithmetic_and_its_dispatch() {
        for processor in &PROCESSORS {
            let rate = processor.units * processor.multiply_adds * 2e9 * processor.clock;
            for (variant, size) in Variant::all().iter().flat_map(|variant| [(variant, SMALL), (variant, LARGE)]) {
                let least = f64::max(size.flops() / rate, 1e-6 * processor.dispatch);
                assert!(seconds(processor, variant, size) >= least, "{} {variant} {size:?}", processor.name);
            }
        }
    }

    #[test]
    fn few_rows_get_slices_and_large_products_get_workgroup_memory_or_shuffles() {
        for name in ["NVIDIA H100 80GB HBM3", "NVIDIA H200", "AMD Radeon RX 7900 XTX (RADV NAVI31)", "another"] {
            assert!(best(name, SMALL).constant("SLICES") > 1, "{name}: {}", best(name, SMALL));
            assert!(["workgroup", "lanes"].contains(&best(name, LARGE).family()), "{name}: {}", best(name, LARGE));
        }
    }

    #[test]
    fn gpus_are_known_by_a_part_of_their_name() {
        let variant = best("another", LARGE);
        let time = |name| on_adapter(name, variant, LARGE);
        assert_eq!(time("NVIDIA H200"), time("NVIDIA H100 PCIe"));
        assert_eq!(time("another"), time("Intel(R) Arc(tm) A770 Graphics"));
        assert!(time("Apple M3") > time("another"));
    }
}
