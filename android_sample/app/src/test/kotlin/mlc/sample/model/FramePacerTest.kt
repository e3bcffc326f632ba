package mlc.sample.model

import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test

class FramePacerTest {
    @Test
    fun `the rate holds for every pair of camera and wish`() {
        for (camera in listOf(7, 24, 30, 60)) {
            for (wish in 1..30) {
                val admitted = admitted(FramePacer(wish), frames(camera, seconds = 10))
                val expected = 10 * minOf(camera, wish)
                assertTrue("$camera → $wish: $admitted", admitted in expected - 1..expected + 1)
            }
        }
    }

    @Test
    fun `after a pause nothing is made up for`() {
        val pacer = FramePacer(10)
        assertTrue(pacer.admits(0))
        assertEquals(1, admitted(pacer, List(5) { 60 * SECOND + it * SECOND / 60 }))
    }

    @Test
    fun `a faster rate counts from the next frame on`() {
        val pacer = FramePacer(1)
        assertTrue(pacer.admits(-5)) // clocks may start anywhere
        pacer.framesPerSecond = 30
        assertTrue(pacer.admits(SECOND))
        assertTrue(pacer.admits(SECOND + SECOND / 30))
    }

    private fun frames(perSecond: Int, seconds: Int) = List(perSecond * seconds) { it * SECOND / perSecond }

    private fun admitted(pacer: FramePacer, frames: List<Long>) = frames.count(pacer::admits)

    private companion object {
        const val SECOND = 1_000_000_000L
    }
}
