/* Published vectors of Noise_XXpsk0_25519_ChaChaPoly_SHA256: every one in vectors.txt of
 * github.com/flynn/noise v1.0.0, in its order, hexadecimal. Messages 3 and 4 are transport
 * messages: the first one of the initiator and of the responder after the split.
 */
#ifndef TESTS_RING_NOISE_VECTORS_H
#define TESTS_RING_NOISE_VECTORS_H

#define NOISE_VECTOR_MESSAGES 5

struct noise_vector {
    const char *initiator_static;
    const char *responder_static;
    const char *initiator_ephemeral;
    const char *responder_ephemeral;
    const char *prologue;
    const char *psk;
    struct {
        const char *payload;
        const char *ciphertext;
    } messages[NOISE_VECTOR_MESSAGES];
};

static const struct noise_vector noise_vectors[] = {
    {.initiator_static = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
     .responder_static = "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20",
     .initiator_ephemeral = "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f",
     .responder_ephemeral = "4142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f60",
     .prologue = "",
     .psk = "2176657279736563726574766572797365637265747665727973656372657421",
     .messages =
         {
             {"", "358072d6365880d1aeea329adf9121383851ed21a28e3b75e965d0d2cd166254555f63b2499511e3"
                  "b299a5649351a5b7"},
             {"", "64b101b1d0be5a8704bd078f9895001fc03e8e9f9522f188dd128d9846d4846622df46c0ac1e0fc7"
                  "1795a84e37cc0e963d131c8e84c02cd5cfcfe8def3fe128b324ab54fd3be59ac143dfdc689962111"
                  "70078c960e051d6ed971da20bde0fcf1"},
             {"", "462127adbe047db3d1fce0581b5447d99b606c591545a7719132e0c91fe93d123be3fe89ffd8af56"
                  "e02cefda863080ecee5651dcecddde76b8237c66740d7c8f"},
             {"79656c6c6f777375626d6172696e65",
              "75fff8afebd2f14da1cac9cc5b5201395cdf2ad65f3a97804e360c16f4e2ac"},
             {"7375626d6172696e6579656c6c6f77",
              "150cc85f79f9ca0f0730b8b4707805ed1969ff6b2770a5d466cd2754802805"},
         }},
    {.initiator_static = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
     .responder_static = "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20",
     .initiator_ephemeral = "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f",
     .responder_ephemeral = "4142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f60",
     .prologue = "",
     .psk = "2176657279736563726574766572797365637265747665727973656372657421",
     .messages =
         {
             {"746573745f6d73675f30",
              "358072d6365880d1aeea329adf9121383851ed21a28e3b75e965d0d2cd1662547f533cf20723ac44"
              "07c8e51516d7c7382d8aa777424dba78813d"},
             {"746573745f6d73675f31",
              "64b101b1d0be5a8704bd078f9895001fc03e8e9f9522f188dd128d9846d4846622df46c0ac1e0fc7"
              "1795a84e37cc0e963d131c8e84c02cd5cfcfe8def3fe128b1146c1820dc4d08bf16b5c682badf2ef"
              "2dc6c1642ae7e8ae8c8e1e38a06064341a604c21b70227181c04"},
             {"746573745f6d73675f32",
              "462127adbe047db3d1fce0581b5447d99b606c591545a7719132e0c91fe93d122132c2cde2bc6920"
              "9884f77756f265744111b0bfa4fdeb4704a42c7f8750279908327b545416cf81f828"},
             {"79656c6c6f777375626d6172696e65",
              "75fff8afebd2f14da1cac9cc5b5201395cdf2ad65f3a97804e360c16f4e2ac"},
             {"7375626d6172696e6579656c6c6f77",
              "150cc85f79f9ca0f0730b8b4707805ed1969ff6b2770a5d466cd2754802805"},
         }},
    {.initiator_static = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
     .responder_static = "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20",
     .initiator_ephemeral = "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f",
     .responder_ephemeral = "4142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f60",
     .prologue = "6e6f74736563726574",
     .psk = "2176657279736563726574766572797365637265747665727973656372657421",
     .messages =
         {
             {"", "358072d6365880d1aeea329adf9121383851ed21a28e3b75e965d0d2cd16625454a218352d64c1f8"
                  "c239416ccb542aec"},
             {"", "64b101b1d0be5a8704bd078f9895001fc03e8e9f9522f188dd128d9846d4846622df46c0ac1e0fc7"
                  "1795a84e37cc0e963d131c8e84c02cd5cfcfe8def3fe128b58733b0ab529b3f48ed3fbe90840f1a2"
                  "7404f52be696831ccb795d1bdee31d33"},
             {"", "462127adbe047db3d1fce0581b5447d99b606c591545a7719132e0c91fe93d12fb91ca67cf72f381"
                  "bab072bd9e6efef157067416654408489b43ba2fb6173b66"},
             {"79656c6c6f777375626d6172696e65",
              "75fff8afebd2f14da1cac9cc5b5201395cdf2ad65f3a97804e360c16f4e2ac"},
             {"7375626d6172696e6579656c6c6f77",
              "150cc85f79f9ca0f0730b8b4707805ed1969ff6b2770a5d466cd2754802805"},
         }},
    {.initiator_static = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
     .responder_static = "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20",
     .initiator_ephemeral = "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f",
     .responder_ephemeral = "4142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f60",
     .prologue = "6e6f74736563726574",
     .psk = "2176657279736563726574766572797365637265747665727973656372657421",
     .messages =
         {
             {"746573745f6d73675f30",
              "358072d6365880d1aeea329adf9121383851ed21a28e3b75e965d0d2cd1662547f533cf20723ac44"
              "07c87f43dc5dc6f6d1867a322a706af81adb"},
             {"746573745f6d73675f31",
              "64b101b1d0be5a8704bd078f9895001fc03e8e9f9522f188dd128d9846d4846622df46c0ac1e0fc7"
              "1795a84e37cc0e963d131c8e84c02cd5cfcfe8def3fe128b59d623ffc18ae67b1acba43eb87910b0"
              "2dc6c1642ae7e8ae8c8e861ed15d8d6b65ff99f73d8286cc9819"},
             {"746573745f6d73675f32",
              "462127adbe047db3d1fce0581b5447d99b606c591545a7719132e0c91fe93d1294b31017013e8ac0"
              "a697b42922a5fe204111b0bfa4fdeb4704a4b5492137b40088f810ee4d1a58882e25"},
             {"79656c6c6f777375626d6172696e65",
              "75fff8afebd2f14da1cac9cc5b5201395cdf2ad65f3a97804e360c16f4e2ac"},
             {"7375626d6172696e6579656c6c6f77",
              "150cc85f79f9ca0f0730b8b4707805ed1969ff6b2770a5d466cd2754802805"},
         }},
};

#endif
