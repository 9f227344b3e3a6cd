/**
 * A token bucket: so many attempts may start now. Between two moments at most `burst + rate · time` tokens are taken,
 * whatever happens to its limits meanwhile, if these are the highest that they were.
 */
export interface TokenBucket {
  /** A fraction of a token may be in it. */
  readonly tokens: number;
  /** As of this moment, monotonic, ms. */
  readonly at: number;
}

export interface RateLimit {
  /** Tokens per second; above 0. */
  readonly rateMax: number;
  /** Tokens that it holds at most; 0: those of one second, at least one. */
  readonly rateBurst: number;
}

/** Nobody who takes over knows what was taken before. */
export function emptyBucket(now: number): TokenBucket {
  return { tokens: 0, at: now };
}

/** The same bucket at a later moment. */
export function refilled(bucket: TokenBucket, limit: RateLimit, now: number): TokenBucket {
  const grown = bucket.tokens + (Math.max(0, now - bucket.at) * limit.rateMax) / 1_000;
  return { tokens: Math.min(capacityOf(limit), grown), at: Math.max(now, bucket.at) };
}

/** Whole tokens in it. */
export function tokensOf({ tokens }: TokenBucket): number {
  return Math.floor(tokens + roundOff);
}

/** In how many ms it has a whole token; 0: it has. Not rounded up: a bucket for one is full meanwhile, and gets nothing more. */
export function nextTokenInMs({ tokens }: TokenBucket, { rateMax }: RateLimit): number {
  return tokens + roundOff >= 1 ? 0 : ((1 - tokens) * 1_000) / rateMax;
}

/** Takes one; may give one back with `-1`. */
export function taken(bucket: TokenBucket, limit: RateLimit, count: number): TokenBucket {
  return { ...bucket, tokens: Math.min(capacityOf(limit), bucket.tokens - count) };
}

export function capacityOf({ rateMax, rateBurst }: RateLimit): number {
  return rateBurst > 0 ? rateBurst : Math.max(1, rateMax);
}

/** Ten refills of a tenth are one token. */
const roundOff = 1e-9;
