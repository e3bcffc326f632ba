package mlc.sample.model

import mlc.bindings.Prediction
import org.junit.Assert.assertEquals
import org.junit.Test

class BannerTest {
    private val wording = mapOf("hot_dog" to "Hotdog!")

    @Test
    fun `a label and its negation are yes and no`() {
        val labels = listOf("hot_dog", "not_hot_dog")
        assertEquals(Banner("Hotdog!", Mood.YES), banner("hot_dog", labels))
        assertEquals(Banner("Not hot dog", Mood.NO), banner("not_hot_dog", labels))
    }

    @Test
    fun `other labels are neither`() {
        val labels = listOf("golden retriever", "not_so_golden", "hot_dog")
        labels.forEach { assertEquals(Mood.NEUTRAL, banner(it, labels).mood) }
        assertEquals("Golden retriever", banner(labels[0], labels).text)
    }

    private fun banner(best: String, labels: List<String>) =
        bannerOf(Prediction(best, labels.indexOf(best), 0.9f), labels, wording)
}
