// The height of a tile for products with a narrow layer: they take little time, and a quarter of the code compiles faster.

const TILE_ROWS = 8u;
