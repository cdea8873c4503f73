package wire

// fewKeys is up to how many keys a look at each of them is faster than a map.
const fewKeys = 12

// keys are those of one object so far. The zero value has none.
type keys struct {
	few  [fewKeys][]byte
	n    int
	many map[string]bool
}

// add notes a key and says whether it is new.
func (k *keys) add(key []byte) bool {
	if k.many != nil {
		if k.many[string(key)] {
			return false
		}
		k.many[string(key)] = true
		return true
	}
	for _, have := range k.few[:k.n] {
		if string(have) == string(key) {
			return false
		}
	}
	if k.n < fewKeys {
		k.few[k.n] = key
		k.n++
		return true
	}
	k.many = map[string]bool{string(key): true}
	for _, have := range k.few {
		k.many[string(have)] = true
	}
	return true
}
