package redisx

import "strings"

// slots is how many parts a cluster's keys are in.
const slots = 16384

// slotOf is the hash slot of a key: CRC-16 (XMODEM) of the hash tag where the key has one, else of all of it.
// https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/
func slotOf(key string) int {
	if _, rest, ok := strings.Cut(key, "{"); ok {
		if tag, _, ok := strings.Cut(rest, "}"); ok && tag != "" {
			key = tag
		}
	}
	crc := uint16(0)
	for i := range len(key) {
		crc = crc<<8 ^ crcTable[byte(crc>>8)^key[i]]
	}
	return int(crc % slots)
}

var crcTable = func() (table [256]uint16) {
	for i := range table {
		crc := uint16(i) << 8
		for range 8 {
			carry := crc&0x8000 != 0
			if crc <<= 1; carry {
				crc ^= 0x1021
			}
		}
		table[i] = crc
	}
	return table
}()
