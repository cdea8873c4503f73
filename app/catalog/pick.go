package catalog

import "math"

// Pick gives the version for a request that names neither version nor label; 0 where there
// is no label "live" and no share either. The key is what the request gives to be told apart
// by, caller is the app id of who asks, and random, from 0 to below 1, decides for requests
// that have neither (of those that Sticky looks at).
//
// A key gets its version by weighted rendezvous hashing with the logarithmic method: each
// version draws a number u between 0 and 1 from the key and its own number, and the largest
// -weight/ln(u) wins. Each replica comes to the same answer without a word with the others,
// every version gets its exact share, and a version whose weight rises only takes keys from
// others: no key moves between two versions whose weights stay. See C. Schindelhauer and
// G. Schomaker, "Weighted Distributed Hash Tables", SPAA 2005.
func (r *Route) Pick(model, key, caller string, random float64) int64 {
	switch len(r.Shares) {
	case 0:
		return r.live()
	case 1:
		return r.Shares[0].Version
	}
	if key == "" && r.Sticky == StickyCaller {
		key = caller
	}
	if key == "" {
		return deal(r.Shares, random)
	}
	// With the model in the hash, the canary of one model is tried on other callers than
	// that of the next; with the version in it, so is the next canary of the same model.
	seed := hash(hash(0, model), key)
	var winner int64
	best := math.Inf(-1)
	for _, s := range r.Shares {
		u := unit(mix(seed ^ mix(uint64(s.Version))))
		if score := -float64(s.Weight) / math.Log(u); score > best {
			best, winner = score, s.Version
		}
	}
	return winner
}

// deal gives the version at the place random on the line of all weights.
func deal(shares []Share, random float64) int64 {
	var total int
	for _, s := range shares {
		total += s.Weight
	}
	place := random * float64(total)
	for _, s := range shares {
		place -= float64(s.Weight)
		if place < 0 {
			return s.Version
		}
	}
	return shares[len(shares)-1].Version
}

// unit makes a number above 0 and below 1 of 64 random bits. 52 of them are taken because
// half a step more would be rounded: to 1, at the upper end, whose logarithm is 0.
func unit(bits uint64) float64 {
	return (float64(bits>>12) + 0.5) / (1 << 52)
}

// hash is MurmurHash64A by A. Appleby: eight bytes at a time, and every bit of the text and
// the seed decides over every bit of the result. It must give the same on all replicas and
// in every release, or callers would change their version with an upgrade.
func hash(seed uint64, text string) uint64 {
	const m = 0xc6a4a7935bd1e995
	h := seed ^ uint64(len(text))*m
	for ; len(text) >= 8; text = text[8:] {
		k := uint64(text[0]) | uint64(text[1])<<8 | uint64(text[2])<<16 | uint64(text[3])<<24 |
			uint64(text[4])<<32 | uint64(text[5])<<40 | uint64(text[6])<<48 | uint64(text[7])<<56
		k *= m
		k ^= k >> 47
		h ^= k * m
		h *= m
	}
	if len(text) > 0 {
		for i := range len(text) {
			h ^= uint64(text[i]) << (8 * i)
		}
		h *= m
	}
	h ^= h >> 47
	h *= m
	return h ^ h>>47
}

// mix is the finalizer of MurmurHash3's 64-bit variants: a permutation that leaves nothing
// of the likeness of two numbers.
func mix(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}
