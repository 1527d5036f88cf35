// The height of a tile for large products: every value of the right operand that is loaded is used for 32 rows.

const TILE_ROWS = 32u;
