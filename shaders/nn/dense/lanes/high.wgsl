// The height of a tile for large products: every loaded value of the right operand is used for 32 rows.

const TILE_ROWS = 32u;
